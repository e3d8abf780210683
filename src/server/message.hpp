// One packet of a pair of control.hpp, with the fds that may come with it.
#pragma once

#include <sys/types.h>

#include <array>

#include "common/control.hpp"
#include "common/fd.hpp"

namespace quicken::server {

class Connection;

struct Packet {
    ssize_t size = 0;  // as recv(2) returns it; the message is complete if it is its size
    control::Message message{};
    std::array<Fd, control::k_client_fds> fds;  // the first ones are there
    bool lost = false;  // an fd was passed for which there was no room (MSG_CTRUNC, unix(7))

    bool complete() const { return size == static_cast<ssize_t>(sizeof message); }
};

/// Never blocks.
Packet receive_packet(int socket);

/// Passes a client whose request is complete on to a spare. False if there is no room. Never blocks.
bool send_client(int socket, const Connection& client);

}  // namespace quicken::server
