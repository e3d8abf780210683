// Replies of wire.hpp on a client's connection.
#pragma once

#include "common/wire.hpp"

namespace quicken::interp {

/// Sends one reply. False if the client is gone (or does not read: its queue is never full with so little).
bool send_reply(int connection, wire::ReplyKind kind, int value, int pid, const char* text);

}  // namespace quicken::interp
