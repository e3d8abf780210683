// Who gives up waiting must be sure that the program does not run twice. So
// the client shuts its connection down and only then looks at what has been
// queued: either `started` is there, or the server's attempt to send it fails
// and it runs nothing (wire.hpp). A `started` found like that commits the
// client as any other does, but the connection carries no more replies.
#include "answer.hpp"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>

#include "common/sys.hpp"
#include "ending.hpp"
#include "message.hpp"

namespace quicken::client {

namespace {

constexpr timespec k_first_limit{5, 0};      // until the server says anything
constexpr timespec k_warming_limit{120, 0};  // from `warming` on

/// Reads what has been received. True once that is an answer.
bool take_answer(ReplyReader& replies, Answer& answer) {
    wire::Reply reply;
    std::string_view text;
    for (;;) {
        switch (replies.next(reply, text)) {
            case ReplyReader::Next::incomplete:
                return false;
            case ReplyReader::Next::malformed:
                answer.reason = "the server's reply is malformed";
                return true;
            case ReplyReader::Next::reply:
                break;
        }
        switch (reply.kind) {
            case wire::ReplyKind::warming:
                answer.cold = true;
                break;
            case wire::ReplyKind::retry:
                answer.kind = Answer::Kind::retry;
                return true;
            case wire::ReplyKind::started:
                answer.kind = Answer::Kind::started;
                answer.pid = reply.pid;
                answer.group = reply.value;
                answer.reason = text;
                return true;
            case wire::ReplyKind::refused:
                answer.reason = text;
                return true;
            case wire::ReplyKind::failed:
                say_line({text});
                sys::exit(reply.value);
            default:
                answer.reason = "the server's reply is malformed";
                return true;
        }
    }
}

constexpr bool is_ignored_by_default(int signal) {
    return signal == SIGCONT || signal == SIGWINCH || signal == SIGCHLD || signal == SIGURG;
}

/// A signal before the commit point has its effect on the client itself.
void act_on(int signals) {
    signalfd_siginfo info;
    if (sys::read(signals, &info, sizeof info) != static_cast<long>(sizeof info)) return;
    const int signal = static_cast<int>(info.ssi_signo);
    if (is_ignored(signal) || is_ignored_by_default(signal)) return;
    if (signal == SIGTSTP || signal == SIGTTIN) {
        sys::kill(sys::getpid(), SIGSTOP);
    } else {
        die_by(signal);
    }
}

/// False once the limit is over.
bool wait(int fd, int signals, timespec& limit) {
    pollfd polls[2] = {{fd, POLLIN, 0}, {signals, POLLIN, 0}};
    int ready;
    do {
        ready = sys::ppoll(polls, 2, &limit, nullptr);
    } while (ready == -EINTR);
    return ready > 0;
}

void give_up(ReplyReader& replies, Answer& answer) {
    sys::shutdown(replies.fd(), SHUT_RDWR);
    bool answered = false;
    while (!answered && replies.receive() > 0) answered = take_answer(replies, answer);
    if (!answered) answer.reason = "the server does not answer";
}

}  // namespace

/// Signals that come while we wait stay queued until it is known whom they are for: a command that has
/// been started, although we have not read it yet, must get them.
Answer await_answer(Run& run, ReplyReader& replies) {
    Answer answer{Answer::Kind::plain, 0, 0, {}, false};
    timespec limit = k_first_limit;
    bool was_cold = false;
    const int signals = sys::signalfd(run.signals.relayed(), SFD_CLOEXEC | SFD_NONBLOCK);
    while (!take_answer(replies, answer)) {
        if (answer.cold && !was_cold) limit = k_warming_limit;
        was_cold = answer.cold;
        if (!wait(replies.fd(), signals, limit)) {
            give_up(replies, answer);
            break;
        }
        const int received = replies.receive();
        if (received < 0) {  // closed before anything was started
            answer.kind = Answer::Kind::retry;
            break;
        }
        if (received == 0) act_on(signals);
    }
    sys::close(signals);
    return answer;
}

}  // namespace quicken::client
