# Flags that every target of ours has: link to quicken_flags, or to
# quicken_hosted_flags for a program that may run under sanitizers.
add_library(quicken_flags INTERFACE)
target_compile_options(quicken_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
target_include_directories(quicken_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_BINARY_DIR}/generated)
target_compile_features(quicken_flags INTERFACE cxx_std_20)
if(QUICKEN_WERROR)
  target_compile_options(quicken_flags INTERFACE -Werror)
endif()

add_library(quicken_hosted_flags INTERFACE)
target_link_libraries(quicken_hosted_flags INTERFACE quicken_flags)
if(QUICKEN_SANITIZE)
  target_compile_options(quicken_hosted_flags INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer)
  target_link_options(quicken_hosted_flags INTERFACE -fsanitize=address,undefined)
endif()
if(QUICKEN_FUZZ)  # coverage is what libFuzzer is led by
  target_compile_options(quicken_hosted_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
