// Who gives up waiting must be sure that the program does not run twice. So
// the client shuts its connection down and only then looks at what has been
// queued: either `started` is there, or the server's attempt to send it fails
// and it runs nothing (wire.hpp). A `started` found like that commits the
// client as any other does, but the connection carries no more replies.
#include "answer.hpp"

#include <cerrno>

#include "common/sys.hpp"
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

/// A signal before the commit point has its effect on the client itself: so
/// the wait is under the original mask, but for the report.
bool wait(const Run& run, int fd, timespec& limit) {
    pollfd poll{fd, POLLIN, 0};
    const sys::SignalSet mask = run.signals.waiting();
    int ready;
    do {
        ready = sys::ppoll(&poll, 1, &limit, &mask);
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

Answer await_answer(const Run& run, ReplyReader& replies) {
    Answer answer{Answer::Kind::plain, 0, {}, false};
    timespec limit = k_first_limit;
    bool was_cold = false;
    while (!take_answer(replies, answer)) {
        if (answer.cold && !was_cold) limit = k_warming_limit;
        was_cold = answer.cold;
        if (!wait(run, replies.fd(), limit)) {
            give_up(replies, answer);
            break;
        }
        if (replies.receive() < 0) {  // closed before anything was started
            answer.kind = Answer::Kind::retry;
            break;
        }
    }
    return answer;
}

}  // namespace quicken::client
