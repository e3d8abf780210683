// The entry point of the programs without a C library. The kernel leaves on
// the stack: argc, argv, a null, the environment, a null, the auxiliary vector
// (getauxval(3)); quicken_start gets its address.

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
