// A spare: takes one connection, makes sure that it is right for it, becomes
// its command.
//
// Nothing is run before `started` is in the client's queue (wire.hpp), and
// whatever goes wrong up to there ends the spare, never returns to the pool:
// its fds or its directory may be half the client's by then.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client_environment.hpp"
#include "client_state.hpp"
#include "expected.hpp"
#include "output.hpp"
#include "packet.hpp"
#include "pretouch.hpp"
#include "process_image.hpp"
#include "reply.hpp"
#include "request.hpp"
#include "shared.hpp"
#include "template.hpp"
#include "terminal.hpp"
#include "trace.hpp"

extern char** environ;

namespace quicken::interp {

namespace {

constexpr int k_highest_fd = 1 << 20;  // fs.nr_open's default

[[noreturn]] void refuse(int connection, const char* reason) {
    send_reply(connection, wire::ReplyKind::refused, 0, 0, reason);
    _exit(0);
}

/// From here on the client is this spare's to serve, unless the spare was retired meanwhile.
void take(control::Slot& slot) {
    auto expected = control::SlotState::idle;
    if (!slot.state.compare_exchange_strong(expected, control::SlotState::taken)) _exit(0);
    if (template_.board->stale.load() != 0) _exit(0);
}

int moved_up(int connection) {
    const int moved = fcntl(connection, F_DUPFD_CLOEXEC, control::k_first_fd);
    if (moved < 0) return connection;
    close(connection);
    return moved;
}

int accept_client() {
    int connection = -1;
    do {
        connection = accept4(template_.listener, nullptr, nullptr, SOCK_CLOEXEC);
    } while (connection < 0 &&
             (errno == EINTR || errno == ECONNABORTED || errno == EMFILE || errno == ENFILE));
    if (connection < 0) _exit(1);
    return connection;
}

/// nullptr, or why this peer is not served.
const char* check_peer(int connection, ucred& peer) {
    socklen_t size = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return "the client has no identity";
    if (peer.uid != geteuid()) return "the client is another user";
    if (peer.pid == 0) return "the client is in another pid namespace";
    return nullptr;
}

/// The template has read what is there now; a client that saw another file saw an older one.
bool is_current() {
    struct stat status {};
    if (stat(template_.name, &status) != 0) return false;
    const wire::Identity now{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                             status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
    return now == template_.script;
}

/// Whether something that the prelude has read may have changed, and the supervisor has not looked yet. In
/// this order: it sets `doubt` before it takes the events.
bool is_in_doubt() {
    int pending = 0;
    if (template_.changes >= 0 && ioctl(template_.changes, FIONREAD, &pending) == 0 && pending > 0)
        return true;
    return template_.board->doubt.load() != 0;
}

bool another_waits() {
    for (const control::Slot& slot : template_.board->slots) {
        if (slot.state.load(std::memory_order_relaxed) == control::SlotState::idle) return true;
    }
    return false;
}

/// Has the supervisor read what was sent to it, `delay` ns from now.
void set_alarm(long delay) {
    const itimerspec time{{}, {0, delay}};
    timerfd_settime(template_.alarm, 0, &time, nullptr);
}

void hand_over(int connection, control::MessageKind kind, std::uint32_t slot) {
    control::Message message{};
    message.kind = kind;
    message.slot = slot;
    message.pid = getpid();
    message.group = getpgrp();
    if (send_packet(template_.handoff, message, connection) != 0) _exit(1);
    const bool later = kind == control::MessageKind::handoff && another_waits();
    set_alarm(later ? control::k_handoff_delay : 1);
}

/// The template is not right for this client: another may be.
[[noreturn]] void pass_on(int connection, const Received& received, std::uint32_t slot, bool passed,
                          const char* reason) {
    control::Message message{};
    message.kind = control::MessageKind::misfit;
    message.slot = slot;
    message.pid = getpid();
    message.passed = passed ? 1 : 0;
    snprintf(message.text, sizeof message.text, "%s", reason);
    const int memory = share_request(received);
    if (memory < 0) refuse(connection, reason);
    const int fds[control::k_client_fds] = {connection, received.deposit, memory};
    if (send_packet(template_.handoff, message, fds, control::k_client_fds) != 0) refuse(connection, reason);
    set_alarm(1);
    _exit(0);
}

/// fds 0, 1 and 2 as the client has them. nullptr, or what failed.
const char* take_streams(Received& received) {
    const wire::Request& request = received.request;
    int next = 0;
    for (int fd = 0; fd < 3; ++fd) {
        if ((received.inherited.streams >> fd & 1) == 0) {
            close(fd);
        } else if ((request.terminal >> fd & 1) != 0) {
            if (dup2(template_.session.terminal, fd) != fd) return "cannot take the terminal";
        } else if (dup2(received.fds[next++], fd) != fd) {
            return "cannot take the client's fds";
        }
    }
    for (int i = 0; i < next; ++i) close(received.fds[i]);
    return nullptr;
}

/// Moves an fd to `least` or above, close-on-exec. False if there is no room below the limit.
bool move_above(int& fd, int least) {
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, least);
    if (moved < 0) return false;
    close(fd);
    fd = moved;
    return true;
}

/// fds above 2 at the client's own numbers. All first leave the range of those numbers, so that none is
/// overwritten before it has been placed. nullptr, or what failed.
const char* take_extra_fds(Received& received, int& connection) {
    const std::uint32_t count = received.inherited.others;
    if (count == 0) return nullptr;
    int* passed = received.fds + __builtin_popcount(received.deposited());
    int* const end = received.fds + received.fd_count;
    const int highest = received.extra_number(count - 1);
    if (highest < 3 || highest > k_highest_fd) return "the client's fds have numbers out of range";
    const int least = highest + 1;
    Session& session = template_.session;
    for (int* ours :
         {&connection, &template_.handoff, &template_.listener, &template_.requests, &template_.changes,
          &template_.alarm, &session.master, &session.terminal, &session.leader}) {
        if (*ours >= 0 && *ours <= highest && !move_above(*ours, least))
            return "there is no room for the client's fds";
    }
    for (int* each = passed; each < end; ++each) {
        if (!move_above(*each, least)) return "there is no room for the client's fds";
    }
    for (std::uint32_t i = 0; i < count; ++i) {
        const int number = received.extra_number(i);
        if (number < 3) return "the client's fds have numbers out of range";
        if (fcntl(number, F_GETFD) >= 0)
            return "the program holds an fd that the client passes another one at";
        const int from = received.extra_is_terminal(i) ? session.terminal : *passed++;
        if (dup2(from, number) != number) return "cannot take the client's fds";
        if (from != session.terminal) close(from);
    }
    return nullptr;
}

/// The client's environment for C, kept for the life of the process.
bool take_environment(const Received& received) {
    char** strings =
        environment_strings(received.environment(), received.request.environ_length, received.request.envc);
    if (strings == nullptr) return false;
    environ = strings;
    return true;
}

Ref argument_list(const Received& received) {
    Ref list(py.PyList_New(0));
    const char* at = received.arguments();
    for (std::uint32_t i = 0; list && i < received.request.argc; ++i) {
        const Ref text(py.PyUnicode_DecodeFSDefault(at));
        if (!text || py.PyList_Append(list.get(), text.get()) != 0) list.reset();
        at += strlen(at) + 1;
    }
    return list;
}

/// Interpreter and options, then what the client passes.
void show_command_line(const Received& received) {
    const char* own = received.arguments();
    std::size_t size = received.request.argv_length;
    if (template_.what != wire::What::file &&
        template_.what != wire::What::python) {  // sys.argv[0] is not on the command line
        const std::size_t skipped = strlen(own) + 1;
        own += skipped;
        size -= skipped;
    }
    auto* line = static_cast<char*>(malloc(template_.arguments_size + size));
    if (line == nullptr) return;  // it is only what others see
    memcpy(line, template_.arguments, template_.arguments_size);
    memcpy(line + template_.arguments_size, own, size);
    set_process_image(line, template_.arguments_size + size, received.environment(),
                      received.request.environ_length);
}

/// Returns what is not as in a plain run, or "".
const char* become_client(int& connection, pid_t client, Received& received) {
    Session& session = template_.session;
    const bool terminal = received.has_terminal();
    if (!terminal) leave_session(session, client);
    if (terminal) {
        if (const char* failed = attach_session(session, received.request, client))
            refuse(connection, failed);
    }
    if (chdir(directory_of(client)) != 0) refuse(connection, "cannot enter the client's working directory");
    if (const char* failed = take_deposit(received)) refuse(connection, failed);
    if (const char* failed = take_streams(received)) refuse(connection, failed);
    if (const char* failed = take_extra_fds(received, connection)) refuse(connection, failed);
    std::uint64_t ignored = 0;
    const char* note = "";
    if (const char* failed = adopt_state(client, received.request.signal_mask, ignored, note))
        refuse(connection, failed);
    if (const char* failed = check_output()) refuse(connection, failed);
    if (!take_environment(received)) refuse(connection, "no memory");
    show_command_line(received);
    if ((received.request.terminal & wire::k_own_name) != 0) set_process_name(received.arguments());
    const Ref environment =
        has_expected_environment(received) ? Ref::borrow(py.none) : environment_dict(environ);
    const Ref arguments = argument_list(received);
    if (!environment || !arguments) refuse(connection, "no memory");
    const bool shared = template_.what == wire::What::python;
    if (const char* failed = shared ? read_shared(received) : nullptr) refuse(connection, failed);
    char reason[control::k_text];
    const Ref ignored_signals(py.PyLong_FromLong(static_cast<long>(ignored)));
    const Ref streams(py.PyLong_FromLong(static_cast<long>(unlike_streams())));
    text_of(
        call_bootstrap("become", environment.get(), arguments.get(), ignored_signals.get(), streams.get()),
        reason, sizeof reason);
    if (reason[0] != '\0') refuse(connection, reason);
    if (const char* failed = shared ? begin_shared() : nullptr) refuse(connection, failed);
    pid_t group = 0;
    if (terminal) {
        if (const char* failed = await_session(session, group)) refuse(connection, failed);
    }
    return note;
}

/// The request of a client from the listening socket, or from `requests`; returns its connection.
int meet(std::uint32_t slot, bool passed, Received& received, ucred& peer) {
    control::Message message{};
    int fds[control::k_client_fds] = {};
    if (passed && !receive_client(template_.requests, message, fds)) _exit(0);
    const int accepted = passed ? fds[0] : accept_client();
    take(template_.board->slots[slot]);
    const int connection = moved_up(accepted);
    if (const char* stranger = check_peer(connection, peer)) refuse(connection, stranger);
    const char* wrong =
        passed ? adopt_request(fds[2], fds[1], received) : receive_request(connection, received);
    if (wrong != nullptr && wrong[0] == '\0') _exit(0);
    if (wrong != nullptr) refuse(connection, wrong);
    return connection;
}

/// Ends the spare unless it is the right one for its client.
void verify_client(int connection, pid_t client, const Received& received, std::uint32_t slot, bool passed) {
    if (!(received.request.instance == template_.instance))
        refuse(connection, "the request is for another server");
    if (is_in_doubt()) {
        hand_over(connection, control::MessageKind::doubt, slot);
        _exit(0);
    }
    if (template_.board->stale.load() != 0) _exit(0);  // the supervisor has looked meanwhile
    if ((!(received.request.script == template_.script) && !is_current()) ||
        files_changed(template_.board->blind.load() != 0)) {
        hand_over(connection, control::MessageKind::stale, slot);
        _exit(0);
    }
    if (const char* other = compare_key(received, directory_of(client)))
        pass_on(connection, received, slot, passed, other);
    if (received.has_terminal() && template_.session.leader < 0) {
        hand_over(connection, control::MessageKind::needs_session, slot);
        _exit(0);
    }
}

/// What only spares hold.
void close_own() {
    for (const int fd :
         {template_.handoff, template_.listener, template_.requests, template_.changes, template_.alarm}) {
        if (fd >= 0) close(fd);
    }
}

}  // namespace

void serve_one(std::uint32_t slot, bool passed) {
    note_process_image();
    prepare_to_receive();
    prepare_comparison();
    expect_client();
    begin_to_count();
    static Received received;
    ucred peer{};
    int connection = meet(slot, passed, received, peer);
    verify_client(connection, peer.pid, received, slot, passed);
    const char* note = become_client(connection, peer.pid, received);
    hand_over(connection, control::MessageKind::handoff, slot);
    close_own();
    prctl(PR_SET_PDEATHSIG, 0);
    command_ = {getpid(), peer.pid, getppid(), slot};
    Session& session = template_.session;
    const int ends[] = {session.master, session.leader};
    if (!send_reply(connection, wire::ReplyKind::started, getpgrp(), command_.pid, note, ends,
                    session.leader >= 0 ? 2 : 0)) {
        template_.board->slots[slot].state.store(control::SlotState::retired);  // never started: not counted
        _exit(0);
    }
    close(connection);
    close_session(session);
    command_.received = &received;
}

}  // namespace quicken::interp
