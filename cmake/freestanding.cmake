# No C library: its start-up alone would cost as much as the whole warm path.
# So there is nothing that sanitizers, stack protectors or fortification could
# report to, and the flags of the build type do not apply.
function(quicken_freestanding target)
  target_sources(${target} PRIVATE
    ${PROJECT_SOURCE_DIR}/src/freestanding/start.cpp ${PROJECT_SOURCE_DIR}/src/freestanding/memory.cpp)
  target_link_libraries(${target} PRIVATE quicken_flags)
  target_compile_options(${target} PRIVATE
    -Os -ffreestanding -fno-exceptions -fno-rtti -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables
    -fno-unwind-tables -ffunction-sections -fdata-sections -fno-sanitize=all -U_FORTIFY_SOURCE)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF INTERPROCEDURAL_OPTIMIZATION OFF)
  target_link_options(${target} PRIVATE
    -nostdlib -static LINKER:-no-pie -fno-sanitize=all LINKER:--gc-sections LINKER:--build-id=none
    LINKER:-z,noseparate-code LINKER:-z,noexecstack)
endfunction()
