// The request of a client and the replies of a server, as they travel over a
// Unix stream socket between processes of one user on one machine: native
// byte order, native alignment.
//
// A client sends one Request, its body, and with the first byte one fd
// (SCM_RIGHTS): the deposit, a SOCK_SEQPACKET socket into whose queue it puts,
// right after, the fds that the program inherits: a first message, Inherited,
// with those of 0, 1 and 2 that are open, ascending, then messages of
// k_fds_per_message at most (unix(7), SCM_MAX_FD) with those above 2, the data
// of which are their numbers (uint32_t, ascending). A server needs them last, so it can begin meanwhile.
// The client has the socket too and withdraws them if it gives up. Fds of its controlling terminal are not
// among them: the command has a terminal of its own there (session.hpp), whose master comes with `started`.
// What else a program inherits (working directory, umask, limits, ...) the server reads from the client's
// process, which waits: SO_PEERCRED names it, and it is there as long as `started` can be sent.
// The client then only reads: zero or more replies, of which `started` is the commit point. Until
// a client has seen `started` its program has not been run and will not be once the client has shut the
// connection down: the server's send of `started` and the client's shutdown(2) are ordered by the client
// socket's own lock (unix(7)), so that either the client finds `started` in its queue after the shutdown, or
// the server's send fails with EPIPE and it runs nothing.
//
// Freestanding: includes nothing that needs a C or C++ library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quicken::wire {

inline constexpr std::uint32_t k_magic = 0x314b4351;  // "QCK1"
inline constexpr std::uint32_t k_protocol = 5;

/// Limits of a request; one beyond them ends that connection with `refused`.
/// The kernel's own limit for argv and environ together is 6 MiB (execve(2)).
inline constexpr std::uint32_t k_max_body = 8U << 20;     // bytes
inline constexpr std::uint32_t k_max_name = 4096;         // bytes, also for directory and interpreter
inline constexpr std::uint32_t k_max_options = 4096;      // bytes
inline constexpr std::uint32_t k_max_strings = 1U << 20;  // argv and environ entries, each
inline constexpr std::uint32_t k_max_extra = 4096;        // fds above 2
inline constexpr std::uint32_t k_fds_per_message = 200;
inline constexpr std::uint32_t k_max_reply_text = 4096;  // bytes
/// Seconds a server waits for a request to be complete once it has accepted.
inline constexpr int k_request_timeout = 1;

/// How a command tells its client its own end: this signal, queued (sigqueue(3)) with its wait status as the
/// value. A connection would be an fd that the program does not have in a plain run. The client blocks the
/// signal from before the request on. `exited` comes from the supervisor for a command that could not.
inline constexpr int k_report_signal = 63;

/// The mark of a number above 2 that is the client's controlling terminal.
inline constexpr std::uint32_t k_terminal_fd = 1U << 31;

enum class What : std::uint32_t {
    file = 1,
    module = 2,
    entry = 3,
    python = 4  // a shared interpreter: the program is in the arguments, which are those of python3
};

/// Where a program's prelude ends.
enum class ForkPoint : std::uint32_t {
    automatic = 0,  // where its source says so: a call, or `if __name__ == '__main__':`
    start = 1,      // where it calls quicken.start(), wherever that is
};

/// Identity of a file's content as far as stat(2) tells.
struct Identity {
    std::uint64_t device;
    std::uint64_t inode;
    std::uint64_t size;
    std::int64_t mtime_seconds;
    std::int64_t mtime_nanoseconds;
    friend constexpr bool operator==(const Identity&, const Identity&) = default;
};

/// 128 bits that name a server. In text: 32 lower-case hexadecimal digits.
struct Instance {
    std::uint8_t bytes[16];
    friend constexpr bool operator==(const Instance&, const Instance&) = default;
};

/// Of a client's controlling terminal, as ioctl_tty(2) has it: TCGETS and TIOCGWINSZ.
struct Terminal {
    std::uint32_t modes[4];  // c_iflag, c_oflag, c_cflag, c_lflag
    std::uint8_t line;
    std::uint8_t characters[19];
    std::uint16_t rows, columns, width, height;
};

/// Bits of Request::terminal.
inline constexpr std::uint32_t k_has_terminal = 8;  // the client has a controlling terminal
inline constexpr std::uint32_t k_foreground = 16;   // the command may read it at once
/// Also one of Request::terminal, where the client has none: the script is executed by its own path, so that
/// the kernel would name the process by it (comm, proc(5)).
inline constexpr std::uint32_t k_own_name = 32;

/// The body follows in this order: name, directory, interpreter (no NUL),
/// options, argv, environ (each string ends with a NUL). Its size is the sum of the lengths.
struct Request {
    std::uint32_t magic;
    std::uint32_t protocol;
    Instance instance;
    What what;
    std::uint32_t name_length;         // absolute path, module, module:function, or names of modules
    std::uint32_t directory_length;    // of a module: the working directory; otherwise 0
    std::uint32_t interpreter_length;  // absolute path
    std::uint32_t options_length;      // interpreter options, without the interpreter
    std::uint32_t argc;                // argv[0] is what sys.argv[0] is to be, or python3's first argument
    std::uint32_t argv_length;
    std::uint32_t envc;
    std::uint32_t environ_length;
    std::uint32_t terminal;     // bit N: fd N (0, 1, 2) is the terminal, and not in the deposit; k_* bits
    std::uint64_t signal_mask;  // bit N-1: signal N is blocked
    Identity script;            // of a file; otherwise all 0
    Terminal modes;             // all 0 without a terminal
    ForkPoint fork_point;
};

/// The first message of a deposit.
struct Inherited {
    std::uint32_t streams;  // bit N: fd N (0, 1, 2) is open
    std::uint32_t others;   // fds above 2, of which messages follow
};

enum class ReplyKind : std::uint32_t {
    warming = 1,  // the template is being made; go on waiting
    retry,        // connect anew: another spare or template will serve
    refused,      // run plainly; the text says why
    failed,       // do not run: print the text, exit with status `value`
    started,      // committed; `pid` is the command, `value` its process group. With a terminal it comes with
                  // two fds (SCM_RIGHTS): the master of the command's terminal and the leader of its session
    stopped,      // the command was stopped by signal `value`
    exited,       // the command ended without a report; `value` is its wait status (waitpid(2))
};

struct Reply {
    ReplyKind kind;
    std::int32_t value;
    std::int32_t pid;
    std::uint32_t length;  // bytes of text that follow; at most k_max_reply_text
};

static_assert(sizeof(Request) == 160 && sizeof(Terminal) == 44 && sizeof(Reply) == 16);

}  // namespace quicken::wire
