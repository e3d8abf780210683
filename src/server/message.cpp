#include "message.hpp"

#include <sys/socket.h>

#include <array>
#include <cstring>

namespace quicken::server {

Packet receive_packet(int socket) {
    Packet packet;
    iovec part{&packet.message, sizeof packet.message};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    packet.size = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (packet.size < 0) return packet;
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    int fd = -1;
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS && rights->cmsg_len >= CMSG_LEN(sizeof fd)) {
        std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    }
    packet.passed.reset(fd);
    packet.lost = (header.msg_flags & MSG_CTRUNC) != 0;
    return packet;
}

}  // namespace quicken::server
