// The template's process, from outside: started, listened to, ordered to fork.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "advance.hpp"
#include "common/control.hpp"
#include "common/fd.hpp"
#include "common/loop.hpp"
#include "program.hpp"

namespace quicken::server {

/// The fds that every template inherits; they stay the caller's.
struct Inheritance {
    int listener;
    int board;
    int handoff;      // the spares' end
    int session;      // quicken-session, an O_PATH fd
    int changes;      // inotify(7), or -1
    int requests;     // the spares' end
    int alarm;        // timerfd(2) that has the handoffs read
    rlimit fd_limit;  // RLIMIT_NOFILE as the server was started with
};

class TemplateProcess {
 public:
    /// With `ready` may come an fd: the trace (common/trace.hpp).
    using Received = std::function<void(const control::Message&, Fd)>;

    /// Starts the program's interpreter with the hook `library`. Throws Error if that cannot be.
    TemplateProcess(Loop& loop, const Program& program, control::Rung rung, const Inheritance& inheritance,
                    const std::string& library, const Advance& advance, Received received);
    /// Kills it; the supervisor still reaps it.
    ~TemplateProcess();
    TemplateProcess(const TemplateProcess&) = delete;
    TemplateProcess& operator=(const TemplateProcess&) = delete;

    pid_t pid() const { return pid_; }
    /// The process has been reaped: its pid is no longer ours to signal.
    void reaped() { pid_ = 0; }
    control::Rung rung() const { return rung_; }
    /// `session`: the spare is to have one, for clients with a terminal.
    /// `passed`: it is to wait for clients on `requests`.
    bool order_spare(std::uint32_t slot, bool session, bool passed) const;
    /// Handles packets that are there, or come within `milliseconds`.
    void drain(int milliseconds);

 private:
    bool receive_one();

    pid_t pid_ = 0;
    control::Rung rung_;
    Fd control_;
    Received received_;
    Source readable_;
};

}  // namespace quicken::server
