// What the kernel hands to a program at exec, and what the client decided to
// do with it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string_view>

#include "common/target.hpp"
#include "signals.hpp"

namespace quicken::client {

struct Process {
    std::size_t argc;
    char** argv;
    char** environment;
    uid_t user;   // effective
    gid_t group;  // effective
};

/// One run of a program, from its command line to its end.
struct Run {
    const Process& process;
    const Invocation& invocation;
    const Target& target;
    SignalMask signals;
    bool verbose;    // QUICKEN_VERBOSE
    bool activated;  // the activator has started us again
    int script;      // its fd if it had to be read: there is time to close it once the request is sent; or -1
};

/// Set to anything but nothing and 0.
bool is_set(const Process& process, std::string_view name);

}  // namespace quicken::client
