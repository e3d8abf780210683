// A control message (cmsg(3)) with room for so many fds.
#pragma once

#include <sys/socket.h>

#include <cstddef>

namespace quicken::client {

/// The layout is cmsghdr's, which no class can have as a member.
template <std::size_t k_count>
struct Passed {
    std::size_t length = CMSG_LEN(0);
    int level = SOL_SOCKET;
    int type = SCM_RIGHTS;
    int fds[k_count]{};

    void add(int fd) {
        fds[(length - CMSG_LEN(0)) / sizeof(int)] = fd;
        length += sizeof(int);
    }

    void attach(msghdr& message) {
        message.msg_control = length == CMSG_LEN(0) ? nullptr : this;
        message.msg_controllen = length == CMSG_LEN(0) ? 0 : CMSG_ALIGN(length);
    }
};
static_assert(sizeof(Passed<4>) == CMSG_SPACE(4 * sizeof(int)) &&
              offsetof(cmsghdr, cmsg_level) == sizeof(std::size_t) &&
              offsetof(cmsghdr, cmsg_type) == offsetof(cmsghdr, cmsg_level) + sizeof(int));

}  // namespace quicken::client
