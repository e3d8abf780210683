// Replies of wire.hpp on a client's connection.
#pragma once

#include <cstddef>

#include "common/wire.hpp"

namespace quicken::interp {

inline constexpr std::size_t k_max_reply_fds = 2;

/// Sends one reply, with fds that stay the caller's. False if the client is gone (or does not read: its queue
/// is never full with so little).
bool send_reply(int connection, wire::ReplyKind kind, int value, int pid, const char* text,
                const int* fds = nullptr, std::size_t fd_count = 0);

}  // namespace quicken::interp
