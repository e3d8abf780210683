// Runs on a terminal. An agent, forked from the driver, leads a session whose
// controlling terminal is a pty, as a shell does; the driver is the terminal's
// other side and takes what is written as it comes, as an emulator does. Runs
// on pipes are the driver's own: they have no controlling terminal.
#pragma once

#include <sys/types.h>

#include "common/fd.hpp"
#include "driver/output.hpp"
#include "driver/process.hpp"
#include "driver/spec.hpp"

namespace quicken::bench {

class Terminal {
 public:
    /// `spec` must outlive it.
    explicit Terminal(const Spec& spec);
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    ~Terminal();

    /// Throws Error if the agent is gone.
    Outcome run(unsigned row, Output& output);

 private:
    [[noreturn]] void serve(const Spec& spec, const char* slave, Fd& end);

    Fd master_;
    Fd agent_;
    pid_t pid_ = 0;
};

}  // namespace quicken::bench
