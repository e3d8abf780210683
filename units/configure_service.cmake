# quicken_configure_service(INPUT OUTPUT PREFIX): the service unit for an
# installation at PREFIX, quoted as systemd.service(5), "Command lines", says.
function(quicken_configure_service input output prefix)
  set(QUICKEN_SERVER "${prefix}/libexec/quicken/quicken-server")
  string(REPLACE "\\" "\\\\" QUICKEN_SERVER "${QUICKEN_SERVER}")
  string(REPLACE "\"" "\\\"" QUICKEN_SERVER "${QUICKEN_SERVER}")
  string(REPLACE "%" "%%" QUICKEN_SERVER "${QUICKEN_SERVER}")
  configure_file("${input}" "${output}" @ONLY)
endfunction()
