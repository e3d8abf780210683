#include "driver/terminal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "common/error.hpp"

namespace quicken::bench {
namespace {

void take(int master, Output& output) {
    char buffer[65536];
    for (ssize_t size = 0; (size = ::read(master, buffer, sizeof buffer)) > 0;) {
        output.add({buffer, static_cast<std::size_t>(size)});
    }
}

}  // namespace

Terminal::Terminal(const Spec& spec) {
    master_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    char slave[64];
    if (!master_ || ::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0 ||
        ::ptsname_r(master_.get(), slave, sizeof slave) != 0) {
        throw_errno("make", "a pty");
    }
    const winsize size{24, 80, 0, 0};
    ::ioctl(master_.get(), TIOCSWINSZ, &size);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        throw_errno("make", "a socket pair");
    agent_.reset(ends[0]);
    Fd other(ends[1]);
    pid_ = ::fork();
    if (pid_ < 0) throw_errno("fork", "the terminal's agent");
    if (pid_ == 0) {
        agent_.reset();
        serve(spec, slave, other);
    }
}

Terminal::~Terminal() {
    agent_.reset();  // it ends by that
    ::waitpid(pid_, nullptr, 0);
}

void Terminal::serve(const Spec& spec, const char* slave, Fd& end) try {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::setsid();
    const Fd terminal(
        ::open(slave, O_RDWR | O_CLOEXEC));  // the first one that a session's leader opens is its
    if (!terminal) throw_errno("open", slave);
    master_.reset();
    const int streams[3] = {terminal.get(), terminal.get(), terminal.get()};
    std::vector<Command> commands(spec.rows.begin(), spec.rows.end());
    unsigned row = 0;
    while (::recv(end.get(), &row, sizeof row, 0) == sizeof row) {
        const Outcome outcome = commands.at(row).run(streams);
        if (::send(end.get(), &outcome, sizeof outcome, MSG_NOSIGNAL) != sizeof outcome) break;
    }
    ::_exit(0);
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench-driver: %s\n", error.what());
    ::_exit(1);
}

Outcome Terminal::run(unsigned row, Output& output) {
    if (::send(agent_.get(), &row, sizeof row, MSG_NOSIGNAL) != sizeof row) throw_errno("ask", "the agent");
    pollfd both[2] = {{agent_.get(), POLLIN, 0}, {master_.get(), POLLIN, 0}};
    for (;;) {
        if (::poll(both, 2, -1) < 0 && errno != EINTR) throw_errno("wait for", "the agent");
        take(master_.get(), output);
        if (both[0].revents == 0) continue;
        Outcome outcome;
        if (::recv(agent_.get(), &outcome, sizeof outcome, 0) != sizeof outcome)
            throw Error("the agent is gone");
        take(master_.get(), output);
        output.end();
        return outcome;
    }
}

}  // namespace quicken::bench
