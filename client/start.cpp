// The entry point. The kernel leaves on the stack: argc, argv, a null, the
// environment, a null, the auxiliary vector (getauxval(3)).
#include <elf.h>

#include "main.hpp"
#include "process.hpp"

#if defined(__x86_64__)
asm(R"(
    .text
    .globl _start
    .type _start, @function
_start:
    xorl %ebp, %ebp
    movq %rsp, %rdi
    andq $-16, %rsp
    call quicken_start
    hlt
)");
#elif defined(__aarch64__)
asm(R"(
    .text
    .globl _start
    .type _start, %function
_start:
    mov x29, #0
    mov x30, #0
    mov x0, sp
    bl quicken_start
    brk #1
)");
#endif

extern "C" [[noreturn, gnu::used]] void quicken_start(unsigned long* stack) {
    quicken::client::Process process{};
    process.argc = stack[0];
    process.argv = reinterpret_cast<char**>(stack + 1);
    process.environment = process.argv + process.argc + 1;
    char** end = process.environment;
    while (*end != nullptr) ++end;
    for (auto* entry = reinterpret_cast<unsigned long*>(end + 1); entry[0] != AT_NULL; entry += 2) {
        if (entry[0] == AT_EUID) process.user = static_cast<uid_t>(entry[1]);
    }
    quicken::client::run(process);
}
