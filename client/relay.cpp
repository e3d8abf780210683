// The command leads a process group of its own, so a signal from the terminal,
// which goes to the whole foreground group, goes on to the command's group;
// one that somebody sent to this process goes on to the command alone.
//
// A pid could have been given to another process by the time a signal is sent
// to it. After `exited` none is sent; there remains the moment between the
// reaping of the command and the arrival of `exited`, in which a signal sent
// to the client may go to nobody, and would go astray only if the kernel had
// handed out all other pids in that moment.
#include "relay.hpp"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

#include "common/sys.hpp"
#include "ending.hpp"
#include "message.hpp"

namespace quicken::client {

namespace {

[[noreturn]] void lose() {
    die(1, {"the server ended before the program did; its exit status is lost"});
}

/// Returns when all that was received has been acted on.
void take_replies(ReplyReader& replies) {
    wire::Reply reply;
    std::string_view text;
    for (;;) {
        switch (replies.next(reply, text)) {
            case ReplyReader::Next::incomplete:
                return;
            case ReplyReader::Next::malformed:
                lose();
            case ReplyReader::Next::reply:
                break;
        }
        if (reply.kind == wire::ReplyKind::exited) end_as(reply.value);
        // The shell is to see a stopped job. Its SIGCONT continues us and goes
        // on to the command like every other signal.
        if (reply.kind == wire::ReplyKind::stopped) sys::kill(sys::getpid(), SIGSTOP);
    }
}

/// An fd of the signals to relay, or -errno. Standard error stays for what the
/// client may have to say; the others are the command's now: the reader of a
/// pipe is to see its end when the command closes it, and its writer is to
/// get SIGPIPE.
int take_over(Run& run, std::span<const std::uint32_t> inherited) {
    if (sys::close_range(STDIN_FILENO, STDOUT_FILENO) < 0) {  // Linux before 5.9
        sys::close(STDIN_FILENO);
        sys::close(STDOUT_FILENO);
    }
    for (const std::uint32_t fd : inherited) sys::close(static_cast<int>(fd));
    const int fd = sys::signalfd(run.signals.relayed() | report_signal(), SFD_CLOEXEC);
    if (fd < 0) run.signals.restore();  // better to die by them than to be deaf
    return fd;
}

/// A failure is ignored: the command is gone, and `exited` is on its way.
void forward(int signals, pid_t pid) {
    signalfd_siginfo info;
    if (sys::read(signals, &info, sizeof info) != static_cast<long>(sizeof info)) return;
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == wire::k_report_signal) {
        if (info.ssi_code == SI_QUEUE && static_cast<pid_t>(info.ssi_pid) == pid) end_as(info.ssi_int);
        return;
    }
    if (signal == SIGCONT) {
        // A shell continues all of a job, and a stop from the terminal has
        // stopped all of the command's group.
        sys::kill(-pid, signal);
        return;
    }
    if (is_ignored(signal)) return;
    sys::kill(info.ssi_code == SI_KERNEL ? -pid : pid, signal);
}

}  // namespace

void relay(Run& run, ReplyReader& replies, pid_t pid, std::span<const std::uint32_t> inherited) {
    take_replies(replies);  // a short command may have ended already
    if (pid <= 1) lose();   // kill(2) would take it for something else
    pollfd polls[2] = {{replies.fd(), POLLIN, 0}, {take_over(run, inherited), POLLIN, 0}};
    bool orphaned = false;
    for (;;) {
        if (sys::ppoll(polls, 2, nullptr, nullptr) < 0) continue;  // EINTR
        if (polls[1].revents != 0) {
            // First: the report of a command is queued before its connection ends.
            forward(polls[1].fd, pid);
        } else if (polls[0].revents != 0) {
            if (orphaned) lose();
            if (replies.receive() >= 0) {
                take_replies(replies);
                continue;
            }
            // The supervisor is gone; its command may still run, and reports before it ends.
            polls[0].fd = sys::pidfd_open(pid);
            if (polls[0].fd < 0) lose();
            orphaned = true;
        }
    }
}

}  // namespace quicken::client
