// A spare is to be the supervisor's child, not the template's: commands then
// outlive a template, and the supervisor learns how they ended. Its parent is
// therefore a process that ends at once; the spare is inherited by the nearest
// subreaper, the supervisor. The price is one vfork.
//
// The vforked child shares the template's memory while the template is
// suspended, calls fork() there, and ends. Why this is sound: fork() in the
// vforked child runs the fork handlers (pthread_atfork, among them malloc's and
// OpenBLAS's) exactly once, in the memory that the template goes on with, as a
// fork() by the template itself would; the spare's copy is taken between them;
// the vforked child shares the thread descriptor, which only the spare's copy
// of is changed (its tid, by CLONE_CHILD_SETTID). No signal handler can run in
// between in the shared memory that a plain fork() would not allow: signals
// are blocked over it.
//
// A session's leader has to be an ancestor of what is in it. So there are
// three vforks, one in the other: the first process ends, so that the leader is
// the supervisor's; the second leads the session, makes its terminal and becomes
// quicken-session; the third forks the spare and ends. They have descriptor
// tables of their own: the terminal is the spare's alone.
#include "orphan.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/control.hpp"

namespace quicken::interp {

namespace {

// Shared with the vforked children. Only one fork is under way at a time.
volatile pid_t result;
volatile pid_t middle_pid;
volatile int leader_socket;

class SignalsBlocked {
 public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
    sigset_t before_;
};

void reap(pid_t pid) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

/// In a vforked child: forks the spare and ends. Returns in the spare alone, once it is the supervisor's.
__attribute__((noinline)) void fork_and_end() {
    middle_pid = static_cast<pid_t>(syscall(SYS_getpid));
    const pid_t pid = fork();
    if (pid != 0) {
        result = pid > 0 ? pid : -errno;
        _exit(0);
    }
    // The parent ends at once; until then it, not the supervisor, is whose death would be told.
    for (int i = 0; getppid() == middle_pid; ++i) usleep(i < 100 ? 20 : 500);
}

/// The fd moved out of the way of the program's own; -1 stays -1.
int raised(int fd) {
    const int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, control::k_first_fd);
    if (moved < 0) return fd;
    close(fd);
    return moved;
}

/// In the process that is to lead: a session, its terminal, the socket. False with errno set.
bool make_session(Session& session) {
    if (setsid() < 0) return false;
    session.master = raised(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    const int unlocked = 0;
    if (session.master < 0 || ioctl(session.master, TIOCSPTLCK, &unlocked) != 0) return false;
    session.terminal = raised(ioctl(session.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (session.terminal < 0 || ioctl(session.terminal, TIOCSCTTY, 0) != 0) return false;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
    session.leader = raised(ends[0]);
    leader_socket = raised(ends[1]);
    return true;
}

[[noreturn]] void become_leader(int program, int socket) {
    char name[] = "quicken-session";
    char socket_text[16];
    char spare_text[16];
    snprintf(socket_text, sizeof socket_text, "%d", socket);
    snprintf(spare_text, sizeof spare_text, "%d", static_cast<int>(result));
    char* const arguments[] = {name, socket_text, spare_text, nullptr};
    char* const environment[] = {nullptr};
    fcntl(socket, F_SETFD, 0);
    syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
    _exit(127);  // the spare finds its socket closed
}

/// Returns in the spare alone.
__attribute__((noinline)) void lead_session(int program, Session& session) {
    if (!make_session(session)) {
        result = -errno;
        _exit(0);
    }
    const pid_t inner = vfork();
    if (inner == 0) {
        fork_and_end();
        close(leader_socket);
        return;
    }
    if (inner < 0) {
        result = -errno;
        _exit(0);
    }
    reap(inner);
    if (result < 0) _exit(0);
    become_leader(program, leader_socket);
}

}  // namespace

__attribute__((noinline)) pid_t fork_orphan() {
    const SignalsBlocked blocked;
    result = -EAGAIN;
    const pid_t middle = vfork();
    if (middle == 0) {
        fork_and_end();
        return 0;
    }
    if (middle < 0) return -errno;
    reap(middle);
    return result;
}

__attribute__((noinline)) pid_t fork_in_session(int program, Session& session) {
    const SignalsBlocked blocked;
    result = -EAGAIN;
    const pid_t outer = vfork();
    if (outer == 0) {
        const pid_t leader = vfork();
        if (leader == 0) {
            lead_session(program, session);
            return 0;
        }
        if (leader < 0) result = -errno;
        _exit(0);
    }
    const int error = errno;
    session = {};  // written in our memory by the leader; its fds are not ours
    if (outer < 0) return -error;
    reap(outer);
    return result;
}

}  // namespace quicken::interp
