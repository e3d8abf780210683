// One packet of a pair of control.hpp, with the fd that may come with it.
#pragma once

#include <sys/types.h>

#include "common/control.hpp"
#include "common/fd.hpp"

namespace quicken::server {

struct Packet {
    ssize_t size = 0;  // as recv(2) returns it; the message is complete if it is its size
    control::Message message{};
    Fd passed;
    bool lost = false;  // an fd was passed for which there was no room (MSG_CTRUNC, unix(7))

    bool complete() const { return size == static_cast<ssize_t>(sizeof message); }
};

/// Never blocks.
Packet receive_packet(int socket);

}  // namespace quicken::server
