#include "serve/signals.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "common/error.hpp"
#include "common/fd.hpp"

namespace quicken::serve {

namespace {

bool is_ignored(int signal) {
    struct sigaction action {};
    return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

/// False once it was hung up.
bool can_open_terminal() {
    return static_cast<bool>(Fd(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)));
}

void unblock(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

/// Returns when this process goes on. A process group that is orphaned is not stopped.
void stop_here() {
    kill(getpid(), SIGTSTP);
    unblock(SIGTSTP);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigprocmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

Signals::Signals() : has_terminal_(can_open_terminal()) {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH}) {
        if (is_ignored(number)) continue;
        heeded_.push_back(number);
        sigaddset(&set, number);
    }
    if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) throw_errno("block", "signals");
    // Ignored, as some who start us have it, the kernel would keep from us how a child has ended.
    if (signal(SIGCHLD, SIG_DFL) == SIG_ERR) throw_errno("heed", "SIGCHLD");
    // SIGTTOU: a line of ours is to appear even from the background of a terminal that stops who writes.
    for (const int number : {SIGPIPE, SIGTTOU, SIGTTIN}) {
        if (signal(number, SIG_IGN) == SIG_ERR) throw_errno("ignore", "signals");
    }
}

void Signals::attach(Loop& loop, Supervisor& supervisor, std::function<void()> prompt_off,
                     std::function<void()> prompt_on, std::function<void()> resized) {
    const auto suspend = [&supervisor, prompt_off, prompt_on] {
        prompt_off();
        supervisor.suspend(true);
        stop_here();
        supervisor.suspend(false);
        prompt_on();
    };
    // A terminal that is hung up sends it too: then nobody is left to serve for.
    const auto hang_up = [this, &supervisor] {
        if (has_terminal_ && !can_open_terminal()) return supervisor.stop();
        supervisor.reload();
    };
    const auto go_on = [&supervisor, prompt_off, prompt_on] {
        prompt_off();
        supervisor.suspend(false);
        prompt_on();
    };
    for (const int number : heeded_) {
        std::function<void()> action;
        if (number == SIGTERM) action = [&supervisor] { supervisor.stop(); };
        if (number == SIGINT) action = [&supervisor] { supervisor.interrupt(); };
        if (number == SIGQUIT) action = [&supervisor] { supervisor.quit(); };
        if (number == SIGHUP) action = hang_up;
        if (number == SIGTSTP) action = suspend;
        if (number == SIGCONT) action = go_on;
        if (number == SIGWINCH) action = resized;
        sources_.push_back(loop.on_signal(number, std::move(action)));
    }
}

void end_like(int status) {
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        const rlimit none{0, 0};
        setrlimit(RLIMIT_CORE, &none);  // its core is of interest, not ours
        signal(number, SIG_DFL);
        unblock(number);
        kill(getpid(), number);
    }
    std::exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

}  // namespace quicken::serve
