// The fds above 2 that the program would inherit in a plain run: process
// substitution, a jobserver, `3>file`. All that are open when we are executed
// have been inherited; all that we open are close-on-exec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/wire.hpp"

namespace quicken::client {

/// Their numbers, ascending; in memory of its own for the life of the process. `ours`: how many fds we have
/// opened ourselves; `hole`: one of 0, 1 and 2 is closed. One system call where there are none (stat(2) of
/// /proc/self/fd tells the number of open fds since Linux 6.2; before, they are listed).
/// An empty reason means success; otherwise why only a plain run is right.
const char* find_inherited(std::size_t ours, bool hole, std::span<std::uint32_t>& found);

}  // namespace quicken::client
