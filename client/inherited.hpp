// The fds above 2 that the program would inherit in a plain run: process
// substitution, a jobserver, `3>file`. All that are open when we are executed
// have been inherited; all that we open are close-on-exec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/wire.hpp"

namespace quicken::client {

/// Whether there are none, where nothing but 0, 1 and 2, all open, and `ours` of our own is open besides: one
/// system call (stat(2) of /proc/self/fd tells the number of open fds since Linux 6.2; before, it is
/// unknown).
bool none_is_inherited(std::size_t ours);

/// Their numbers, ascending; in memory of its own for the life of the process.
/// Returns nullptr, or why only a plain run is right.
const char* list_inherited(std::span<std::uint32_t>& found);

}  // namespace quicken::client
