#include "terminal.hpp"

#include <asm/termbits.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <initializer_list>

#include "common/session.hpp"

namespace quicken::interp {

namespace {

static_assert(sizeof(termios) == offsetof(wire::Terminal, rows) && offsetof(termios, c_cc) == 17);

constexpr const char* k_no_terminal = "the terminal cannot be made";

/// As a shell's job, the client may lead its process group.
bool leads_group(pid_t client) {
    return getpgid(client) == client;
}

}  // namespace

const char* attach_session(const Session& session, const wire::Request& request, pid_t client) {
    termios modes{};
    memcpy(&modes, &request.modes, sizeof modes);
    const winsize size{request.modes.rows, request.modes.columns, request.modes.width, request.modes.height};
    if (ioctl(session.terminal, TCSETS, &modes) != 0) return k_no_terminal;
    if (ioctl(session.terminal, TIOCSWINSZ, &size) != 0) return k_no_terminal;
    session::Message message{session::Kind::attach, 0};
    if (leads_group(client)) {
        if (setpgid(0, 0) != 0) return k_no_terminal;
        message.value |= session::k_leads_group;
    }
    if ((request.terminal & wire::k_foreground) != 0) message.value |= session::k_foreground;
    const ssize_t sent = send(session.leader, &message, sizeof message, MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(sizeof message) ? nullptr : k_no_terminal;
}

const char* await_session(const Session& session, pid_t& group) {
    session::Message answer{};
    ssize_t got = 0;
    do {
        got = recv(session.leader, &answer, sizeof answer, 0);
    } while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof answer)) return k_no_terminal;
    group = static_cast<pid_t>(answer.value);
    if (group != getpid() && setpgid(0, group) != 0) return k_no_terminal;
    return nullptr;
}

void leave_session(Session& session, pid_t client) {
    if (getsid(client) == client) {
        setsid();
    } else {
        setpgid(0, 0);  // before the leader ends: SIGHUP to its group
    }
    if (session.leader < 0) return;
    ioctl(session.terminal, TIOCNOTTY);
    close_session(session);
}

void close_session(Session& session) {
    for (const int fd : {session.master, session.terminal, session.leader}) {
        if (fd >= 0) close(fd);
    }
    session = {};
}

}  // namespace quicken::interp
