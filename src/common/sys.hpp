// System calls without a C library, for code that runs before or without one
// and for programs that have one: nothing here reads or writes errno.
//
// Every function returns what the kernel does: a value >= 0, or -errno. Types
// are those of the C library's headers where their layout is the kernel's (so
// it is for all of these on 64-bit Linux); SignalSet and SignalAction are the
// kernel's own, which are smaller.
#pragma once

#include <asm/unistd.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace quicken::sys {

#if defined(__x86_64__)

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

#else
#error "quicken knows the system calls of x86_64 and aarch64 only"
#endif

inline long address(const void* pointer) {
    return reinterpret_cast<long>(pointer);
}

/// Bit N - 1 is signal N.
using SignalSet = std::uint64_t;

constexpr SignalSet signal_bit(int signal) {
    return SignalSet{1} << (signal - 1);
}

/// What rt_sigaction(2) takes; a handler of 0 is the default, 1 is to ignore.
struct SignalAction {
    std::uintptr_t handler;
    unsigned long flags;
    std::uintptr_t restorer;
    SignalSet mask;
};

// Files.

inline int open(const char* path, int flags) {
    return static_cast<int>(call(__NR_openat, AT_FDCWD, address(path), flags));
}

inline int close(int fd) {
    return static_cast<int>(call(__NR_close, fd));
}

inline int close_range(unsigned first, unsigned last) {
    return static_cast<int>(call(__NR_close_range, first, last));
}

inline long read(int fd, void* buffer, std::size_t size) {
    return call(__NR_read, fd, address(buffer), static_cast<long>(size));
}

inline long writev(int fd, const iovec* parts, std::size_t count) {
    return call(__NR_writev, fd, address(parts), static_cast<long>(count));
}

inline int stat(const char* path, struct ::stat& status) {
    return static_cast<int>(call(__NR_newfstatat, AT_FDCWD, address(path), address(&status)));
}

inline int fstat(int fd, struct ::stat& status) {
    return static_cast<int>(call(__NR_fstat, fd, address(&status)));
}

inline long getdents(int fd, void* buffer, std::size_t size) {
    return call(__NR_getdents64, fd, address(buffer), static_cast<long>(size));
}

inline int access(const char* path, int mode) {
    return static_cast<int>(call(__NR_faccessat, AT_FDCWD, address(path), mode));
}

/// Bytes of the link's text, which gets no NUL.
inline long readlink(const char* path, char* text, std::size_t size) {
    return call(__NR_readlinkat, AT_FDCWD, address(path), address(text), static_cast<long>(size));
}

/// Bytes of the path with its NUL. It need not start with "/": a directory
/// outside of the root is "(unreachable)...".
inline long getcwd(char* text, std::size_t size) {
    return call(__NR_getcwd, address(text), static_cast<long>(size));
}

inline int fcntl(int fd, int command, long argument = 0) {
    return static_cast<int>(call(__NR_fcntl, fd, command, argument));
}

inline long ioctl(int fd, unsigned long request, const void* argument) {
    return call(__NR_ioctl, fd, static_cast<long>(request), address(argument));
}

/// The same with a number as its argument.
inline long ioctl_number(int fd, unsigned long request, long argument) {
    return call(__NR_ioctl, fd, static_cast<long>(request), argument);
}

inline long write(int fd, const void* data, std::size_t size) {
    return call(__NR_write, fd, address(data), static_cast<long>(size));
}

inline mode_t umask(mode_t mask) {
    return static_cast<mode_t>(call(__NR_umask, static_cast<long>(mask)));
}

// Sockets.

inline int socket(int domain, int type) {
    return static_cast<int>(call(__NR_socket, domain, type, 0));
}

inline int connect(int fd, const void* name, std::size_t size) {
    return static_cast<int>(call(__NR_connect, fd, address(name), static_cast<long>(size)));
}

inline int getsockopt(int fd, int option, void* value, socklen_t& size) {
    return static_cast<int>(call(__NR_getsockopt, fd, SOL_SOCKET, option, address(value), address(&size)));
}

inline int setsockopt(int fd, int option, const void* value, socklen_t size) {
    return static_cast<int>(call(__NR_setsockopt, fd, SOL_SOCKET, option, address(value), size));
}

inline long sendmsg(int fd, const msghdr& message, int flags) {
    return call(__NR_sendmsg, fd, address(&message), flags);
}

inline int socketpair(int domain, int type, int (&ends)[2]) {
    return static_cast<int>(call(__NR_socketpair, domain, type, 0, address(ends)));
}

inline long receive_message(int fd, msghdr& message, int flags) {
    return call(__NR_recvmsg, fd, address(&message), flags);
}

inline long receive(int fd, void* buffer, std::size_t size, int flags) {
    return call(__NR_recvfrom, fd, address(buffer), static_cast<long>(size), flags);
}

inline int shutdown(int fd, int how) {
    return static_cast<int>(call(__NR_shutdown, fd, how));
}

/// Unlike the C library's, leaves in `*limit` what is left of it.
inline int ppoll(pollfd* fds, std::size_t count, timespec* limit, const SignalSet* mask) {
    return static_cast<int>(call(__NR_ppoll, address(fds), static_cast<long>(count), address(limit),
                                 address(mask), sizeof(SignalSet)));
}

// Signals.

inline int sigprocmask(int how, const SignalSet* set, SignalSet* old) {
    return static_cast<int>(call(__NR_rt_sigprocmask, how, address(set), address(old), sizeof(SignalSet)));
}

inline int sigaction(int signal, const SignalAction* action, SignalAction* old) {
    return static_cast<int>(
        call(__NR_rt_sigaction, signal, address(action), address(old), sizeof(SignalSet)));
}

/// Signals that are blocked and wait.
inline int sigpending(SignalSet& set) {
    return static_cast<int>(call(__NR_rt_sigpending, address(&set), sizeof(SignalSet)));
}

inline int signalfd(const SignalSet& set, int flags) {
    return static_cast<int>(call(__NR_signalfd4, -1, address(&set), sizeof(SignalSet), flags));
}

inline int kill(pid_t pid, int signal) {
    return static_cast<int>(call(__NR_kill, pid, signal));
}

/// Queues a signal with its value; `info` is the kernel's siginfo_t, of which si_code must be negative.
inline int sigqueue(pid_t pid, int signal, const siginfo_t& info) {
    return static_cast<int>(call(__NR_rt_sigqueueinfo, pid, signal, address(&info)));
}

// Processes.

/// Close-on-exec; readable once the process has ended.
inline int pidfd_open(pid_t pid) {
    return static_cast<int>(call(__NR_pidfd_open, pid, 0));
}

/// A copy of this process alone, SIGCHLD at its end; 0 in the child.
inline pid_t fork() {
    return static_cast<pid_t>(call(__NR_clone, SIGCHLD));
}

inline int setpgid(pid_t pid, pid_t group) {
    return static_cast<int>(call(__NR_setpgid, pid, group));
}

inline pid_t getpgid(pid_t pid) {
    return static_cast<pid_t>(call(__NR_getpgid, pid));
}

/// Reaps a child; nobody asks how it ended.
inline pid_t wait(pid_t pid) {
    return static_cast<pid_t>(call(__NR_wait4, pid));
}

inline pid_t getppid() {
    return static_cast<pid_t>(call(__NR_getppid));
}

inline pid_t getpid() {
    return static_cast<pid_t>(call(__NR_getpid));
}
inline uid_t geteuid() {
    return static_cast<uid_t>(call(__NR_geteuid));
}
inline gid_t getegid() {
    return static_cast<gid_t>(call(__NR_getegid));
}

inline int getgroups(std::size_t count, gid_t* groups) {
    return static_cast<int>(call(__NR_getgroups, static_cast<long>(count), address(groups)));
}

inline int prctl(int option, long argument) {
    return static_cast<int>(call(__NR_prctl, option, argument));
}

/// Private memory, all 0; an address, or -errno.
inline long allocate(std::size_t size) {
    return call(__NR_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
}

/// Returns only on failure.
inline int execve(const char* path, char* const* arguments, char* const* environment) {
    return static_cast<int>(call(__NR_execve, address(path), address(arguments), address(environment)));
}

[[noreturn]] inline void exit(int status) {
    call(__NR_exit_group, status);
    __builtin_unreachable();
}

}  // namespace quicken::sys
