// From the commit point to the end of the command.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

#include "process.hpp"
#include "replies.hpp"

namespace quicken::client {

/// Passes signals on to the command `pid`, stops when it stops and ends as it
/// ends.
[[noreturn]] void relay(Run& run, ReplyReader& replies, pid_t pid, std::span<const std::uint32_t> inherited);

}  // namespace quicken::client
