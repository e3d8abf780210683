#include "ending.hpp"

#include <linux/prctl.h>

#include <csignal>
#include <cstdint>

#include "common/sys.hpp"

namespace quicken::client {

bool is_ignored(int signal) {
    constexpr std::uintptr_t k_ignored = 1;  // SIG_IGN
    sys::SignalAction action{};
    sys::sigaction(signal, nullptr, &action);
    return action.handler == k_ignored;
}

/// Dies by the same signal, without a second core: an undumpable process
/// leaves none, not even to a program named by core(5)'s core_pattern.
void die_by(int signal) {
    sys::prctl(PR_SET_DUMPABLE, 0);
    const sys::SignalAction action{};
    sys::sigaction(signal, &action, nullptr);
    const sys::SignalSet set = sys::signal_bit(signal);
    sys::sigprocmask(SIG_UNBLOCK, &set, nullptr);
    sys::kill(sys::getpid(), signal);
}

void end_as(int status) {
    const int signal = status & 0x7f;  // wait(2)
    if (signal == 0) sys::exit(status >> 8 & 0xff);
    die_by(signal);
    sys::exit(128 + signal);  // the first process of a pid namespace survives
}

}  // namespace quicken::client
