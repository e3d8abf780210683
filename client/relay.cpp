// A signal from the terminal, which goes to the whole foreground group, goes on
// to the command's group; one that somebody sent to this process goes on to
// the command alone.
//
// A pid could have been given to another process by the time a signal is sent
// to it. After `exited` none is sent; there remains the moment between the
// reaping of the command and the arrival of `exited`, in which a signal sent
// to the client may go to nobody, and would go astray only if the kernel had
// handed out all other pids in that moment.
//
// With a terminal the command has one of its own (common/session.hpp). It may
// use it, and this one is raw, from its start if it is the only program that
// wants it; otherwise it is in the background there until it asks, which the
// kernel tells by stopping it with SIGTTIN or SIGTTOU. So what is typed for
// another program of the pipeline, or for the shell that comes next, stays
// where it is.
#include "relay.hpp"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

#include "common/session.hpp"
#include "common/sys.hpp"
#include "ending.hpp"
#include "message.hpp"
#include "passed.hpp"
#include "pump.hpp"

namespace quicken::client {

namespace {

constexpr std::size_t k_max_unread = 4096;  // N_TTY_BUF_SIZE: a terminal keeps no more

constexpr long k_patience = 200000000;  // ns: for the supervisor to say how a command ended, for output

bool is_from_job_control(int signal) {
    return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

class Relay {
 public:
    Relay(Run& run, ReplyReader& replies, Command command, Outgoing& request)
        : run_(run),
          replies_(replies),
          command_(command),
          terminal_(request.terminal),
          leader_(replies.fd(1)),
          has_terminal_(replies.fd(0) >= 0),
          pump_(terminal_, replies.fd(0), command.group) {
        may_read_ = has_terminal_ && (request.request.terminal & wire::k_foreground) != 0;
        if (may_read_) take_terminal();
        if (has_terminal_) terminal_.copy_size(replies.fd(0));  // it may have changed meanwhile
        take_over(request);
    }

    [[noreturn]] void run() {
        take_replies();                                        // a short command may have ended already
        if (command_.pid <= 1 || command_.group <= 1) lose();  // kill(2) would take it for something else
        pollfd polls[4] = {{replies_.fd(), POLLIN, 0}, {signals_, POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
        for (;;) {
            const int milliseconds = has_terminal_ ? pump_.watch(polls[2], polls[3]) : -1;
            timespec limit{0, milliseconds * 1000000L};
            if (sys::ppoll(polls, has_terminal_ ? 4 : 2, milliseconds < 0 ? nullptr : &limit, nullptr) < 0)
                continue;
            // Signals first: the report of a command is queued before its connection ends, and a new size is
            // there before what is typed after it.
            const bool signalled = polls[1].revents != 0;
            while (polls[1].revents != 0 && forward()) continue;
            if (!signalled && polls[0].revents != 0) hear(polls[0]);
            if (has_terminal_) pump_.handle(polls[2], polls[3]);
        }
    }

 private:
    /// The command has said how it ended, but we have not read it yet.
    static bool is_reported() {
        sys::SignalSet pending = 0;
        sys::sigpending(pending);
        return (pending & report_signal()) != 0;
    }

    [[noreturn]] void lose() {
        if (has_terminal_) terminal_.adopt(replies_.fd(0), false, nullptr, 0);
        if (guarded_) tell_leader(session::Kind::release);
        die(1, {"the server ended before the program did; its exit status is lost"});
    }

    /// Standard error stays for what the client may have to say; the other fds are the command's now: the
    /// reader of a pipe is to see its end when the command closes it, and its writer is to get SIGPIPE.
    void take_over(const Outgoing& request) {
        if (sys::close_range(STDIN_FILENO, STDOUT_FILENO) < 0) {  // Linux before 5.9
            sys::close(STDIN_FILENO);
            sys::close(STDOUT_FILENO);
        }
        for (const std::uint32_t fd : request.inherited)
            sys::close(static_cast<int>(fd & ~wire::k_terminal_fd));
        signals_ = sys::signalfd(run_.signals.relayed() | report_signal(), SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals_ < 0) run_.signals.restore();  // better to die by them than to be deaf
    }

    void hear(pollfd& connection) {
        if (is_reported()) return;  // that comes next
        if (orphaned_) lose();
        if (replies_.receive() >= 0) return take_replies();
        // The supervisor is gone; its command may still run, and reports before it ends.
        connection.fd = sys::pidfd_open(command_.pid);
        if (connection.fd < 0 && !is_reported()) lose();
        orphaned_ = true;
    }

    /// Returns when all that was received has been acted on.
    void take_replies() {
        wire::Reply reply;
        std::string_view text;
        for (;;) {
            switch (replies_.next(reply, text)) {
                case ReplyReader::Next::incomplete:
                    return;
                case ReplyReader::Next::malformed:
                    lose();
                case ReplyReader::Next::reply:
                    break;
            }
            if (reply.kind == wire::ReplyKind::exited) end(reply.value);
            if (reply.kind == wire::ReplyKind::stopped) command_stopped(reply.value);
        }
    }

    // --- the command's end

    [[noreturn]] void end(int status) {
        if (has_terminal_) {
            const bool killed = (status & 0x7f) != 0;  // wait(2)
            while (!pump_.drain(k_patience)) {
                if (killed) pump_.discard();
                if (killed || is_told_to_end()) break;
            }
            char unread[k_max_unread];
            terminal_.adopt(replies_.fd(0), !killed, unread, pump_.take_unread(unread, sizeof unread));
            if (guarded_) tell_leader(session::Kind::release);
            if (!pump_.is_done()) leave_rest();
        }
        end_as(status);
    }

    /// By a signal that would end a program, wherever its output is.
    static bool is_told_to_end() {
        sys::SignalSet pending = 0;
        sys::sigpending(pending);
        return (pending & (sys::signal_bit(SIGHUP) | sys::signal_bit(SIGINT) | sys::signal_bit(SIGQUIT) |
                           sys::signal_bit(SIGTERM))) != 0;
    }

    /// The command has left processes that use its terminal, or goes on itself (quicken.done): what they
    /// print still comes, but what is typed is for others. Or what it printed has no room in ours: in a plain
    /// run that would not keep it from ending.
    void leave_rest() {
        tell_leader(session::Kind::leave);
        pollfd answer{leader_, POLLIN, 0};
        timespec limit{0, k_patience};
        sys::ppoll(&answer, 1, &limit, nullptr);  // what goes on does so when we have ended
        if (sys::fork() != 0) return;
        sys::close(STDERR_FILENO);
        sys::close(replies_.fd());
        run_.signals.restore();
        pump_.run_to_end();
    }

    // --- signals

    /// False if no signal is there.
    bool forward() {
        signalfd_siginfo info;
        if (sys::read(signals_, &info, sizeof info) != static_cast<long>(sizeof info)) return false;
        pass_on(info);
        return true;
    }

    void pass_on(const signalfd_siginfo& info) {
        const int signal = static_cast<int>(info.ssi_signo);
        const auto sender = static_cast<pid_t>(info.ssi_pid);
        if (signal == wire::k_report_signal && info.ssi_code == SI_QUEUE && sender == command_.pid)
            end(info.ssi_int);
        if (signal == SIGCONT) return proceed();
        // Ours: to our group (Pump), or SIGPIPE.
        if (is_ignored(signal) || (info.ssi_code == SI_USER && sender == sys::getpid())) return;
        if (signal == SIGTERM) free_from_hung_server();
        if (has_terminal_ && signal == SIGWINCH && terminal_.copy_size(replies_.fd(0)) && may_read_) return;
        send(signal, info);
    }

    /// A failure is ignored: the command is gone, and `exited` is on its way.
    void send(int signal, const signalfd_siginfo& info) const {
        if (info.ssi_code == SI_QUEUE) {
            siginfo_t queued{};
            queued.si_signo = signal;
            queued.si_code = SI_QUEUE;
            queued.si_pid = sys::getpid();
            queued.si_uid = info.ssi_uid;
            queued.si_value.sival_ptr = reinterpret_cast<void*>(info.ssi_ptr);
            sys::sigqueue(command_.pid, signal, queued);
        } else {
            sys::kill(info.ssi_code == SI_KERNEL ? -command_.group : command_.pid, signal);
        }
    }

    /// The command has ended already, and nobody says how: one SIGTERM has ended it, the next one ends us.
    void free_from_hung_server() {
        pollfd ended{sys::pidfd_open(command_.pid), POLLIN, 0};
        timespec limit{0, 0};
        const bool gone = ended.fd == -ESRCH || (ended.fd >= 0 && sys::ppoll(&ended, 1, &limit, nullptr) > 0);
        if (ended.fd >= 0) sys::close(ended.fd);
        if (!gone) return;
        pollfd said{replies_.fd(), POLLIN, 0};
        limit = {0, k_patience};
        if (sys::ppoll(&said, 1, &limit, nullptr) > 0 && replies_.receive() > 0) take_replies();
        end(SIGTERM);
    }

    // --- stop and go on

    void tell_leader(session::Kind kind) const {
        const session::Message message{kind, 0};
        sys::write(leader_, &message, sizeof message);
    }

    void take_terminal() {
        if (!guarded_) {
            session::Message guard{session::Kind::guard, 0};
            iovec part{&guard, sizeof guard};
            Passed<1> passed;
            passed.add(terminal_.fd());
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            passed.attach(message);
            guarded_ = sys::sendmsg(leader_, message, MSG_NOSIGNAL) > 0;
        }
        pump_.take_terminal();
    }

    /// The shell is to see a stopped job. Its SIGCONT continues us and goes on to the command.
    void command_stopped(int signal) {
        if (!has_terminal_) {
            sys::kill(sys::getpid(), SIGSTOP);
            return;
        }
        const bool asks = signal == SIGTTIN || signal == SIGTTOU;
        stopped_ = true;
        if (asks && !may_read_ && terminal_.in_foreground()) return grant();
        pump_.drain();
        terminal_.adopt(replies_.fd(0), true, nullptr, 0);
        wants_terminal_ = wants_terminal_ || may_read_ || asks;
        may_read_ = false;
        if (!is_from_job_control(signal)) {
            sys::kill(sys::getpid(), SIGSTOP);
        } else if (!stop_group(signal)) {
            // Nobody would continue us. To a process that reads, the kernel says so by an error.
            if (asks) tell_leader(session::Kind::abandon);
            proceed();
        }
    }

    /// As the terminal stops a group, so that a shell script that we are part of stops as well. False if we
    /// are not stopped by it.
    static bool stop_group(int signal) {
        const sys::SignalSet set = sys::signal_bit(signal);
        sys::SignalSet before = 0;
        sys::kill(0, signal);
        sys::sigprocmask(SIG_UNBLOCK, &set, &before);
        sys::sigprocmask(SIG_SETMASK, &before, nullptr);
        sys::SignalSet pending = 0;
        sys::sigpending(pending);
        return (pending & sys::signal_bit(SIGCONT)) != 0;
    }

    void grant() {
        if (!may_read_) terminal_.pass_on(replies_.fd(0));
        take_terminal();
        stopped_ = false;
        may_read_ = true;
        tell_leader(session::Kind::foreground);
    }

    /// A stop from the terminal has stopped all of the command's group, so all of it is continued.
    void proceed() {
        if (!has_terminal_) {
            sys::kill(-command_.group, SIGCONT);
            return;
        }
        terminal_.copy_size(replies_.fd(0));
        if (terminal_.in_foreground() && (wants_terminal_ || may_read_)) return grant();
        may_read_ = false;
        stopped_ = false;
        tell_leader(session::Kind::proceed);
    }

    Run& run_;
    ReplyReader& replies_;
    Command command_;
    Terminal& terminal_;
    int leader_;
    bool has_terminal_;
    bool may_read_ = false;        // the command is in the foreground of its terminal
    bool wants_terminal_ = false;  // it was when it was stopped
    bool stopped_ = false;
    bool orphaned_ = false;
    bool guarded_ = false;  // the leader has our terminal
    int signals_ = -1;
    Pump pump_;
};

}  // namespace

void relay(Run& run, ReplyReader& replies, Command command, Outgoing& request) {
    Relay(run, replies, command, request).run();
}

}  // namespace quicken::client
