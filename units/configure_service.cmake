# quicken_configure_service(INPUT OUTPUT PREFIX): a service unit for an
# installation at PREFIX, quoted as systemd.service(5), "Command lines", says.
function(quicken_configure_service input output prefix)
  set(QUICKEN_SERVER "${prefix}/libexec/quicken/quicken-server")
  set(QUICKEN_CLIENT "${prefix}/bin/quicken")
  foreach(program QUICKEN_SERVER QUICKEN_CLIENT)
    string(REPLACE "\\" "\\\\" ${program} "${${program}}")
    string(REPLACE "\"" "\\\"" ${program} "${${program}}")
    string(REPLACE "%" "%%" ${program} "${${program}}")
  endforeach()
  configure_file("${input}" "${output}" @ONLY)
endfunction()
