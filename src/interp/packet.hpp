// Packets of control.hpp over their SOCK_SEQPACKET pairs, with at most one fd.
#pragma once

#include "common/control.hpp"

namespace quicken::interp {

/// Sends one packet, with a copy of `fd` unless it is -1. Returns 0 or -errno.
int send_packet(int socket, const control::Message& message, int fd);

/// Waits for a packet. False at the end of the connection or on an error.
bool receive_packet(int socket, control::Message& message);

}  // namespace quicken::interp
