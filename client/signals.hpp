// The signals that a client passes on to its command: all that can be blocked,
// but for SIGTTOU, by which the kernel stops the client itself. They are blocked from
// before the request is sent, so that none is lost between the server's start
// of the command and the client's learning of it.
#pragma once

#include <csignal>

#include "common/sys.hpp"
#include "common/wire.hpp"

namespace quicken::client {

constexpr sys::SignalSet relayed_signals() {
    return ~(sys::signal_bit(SIGKILL) | sys::signal_bit(SIGSTOP) | sys::signal_bit(SIGTTOU));
}

constexpr sys::SignalSet report_signal() {
    return sys::signal_bit(wire::k_report_signal);
}

class SignalMask {
 public:
    void block() {
        if (blocked_) return;
        const sys::SignalSet set = relayed_signals() | report_signal();
        sys::sigprocmask(SIG_BLOCK, &set, &original_);
        blocked_ = true;
    }

    void restore() {
        if (blocked_) sys::sigprocmask(SIG_SETMASK, &original_, nullptr);
        blocked_ = false;
    }

    /// The mask the client was started with; valid once blocked.
    const sys::SignalSet& original() const { return original_; }

    /// What is to be passed on. What was blocked from the start would not
    /// reach the program in a plain run either; SIGCONT acts even then.
    sys::SignalSet relayed() const { return relayed_signals() & (~original_ | sys::signal_bit(SIGCONT)); }

 private:
    sys::SignalSet original_ = 0;
    bool blocked_ = false;
};

}  // namespace quicken::client
