// Packets of control.hpp over their SOCK_SEQPACKET pairs, with the fds that come along.
#pragma once

#include "common/control.hpp"

namespace quicken::interp {

/// Sends one packet, with a copy of `fd` unless it is -1. Returns 0 or -errno.
int send_packet(int socket, const control::Message& message, int fd);

/// The same with copies of `count` fds, control::k_client_fds at most.
int send_packet(int socket, const control::Message& message, const int* fds, int count);

/// Waits for a packet that comes with exactly control::k_client_fds fds, which are the caller's then and
/// closed by exec. False at the end of the connection or if it is another.
bool receive_client(int socket, control::Message& message, int (&fds)[control::k_client_fds]);

/// Waits for a packet. False at the end of the connection or on an error.
bool receive_packet(int socket, control::Message& message);

}  // namespace quicken::interp
