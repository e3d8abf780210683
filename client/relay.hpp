// From the commit point to the end of the command.
#pragma once

#include <sys/types.h>

#include "process.hpp"
#include "replies.hpp"
#include "request.hpp"

namespace quicken::client {

struct Command {
    pid_t pid;
    pid_t group;  // process group
};

/// Passes signals on to the command and what is typed and printed between the terminals, stops when the
/// command stops and ends as it ends.
[[noreturn]] void relay(Run& run, ReplyReader& replies, Command command, Outgoing& request);

}  // namespace quicken::client
