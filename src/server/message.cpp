#include "message.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "connection.hpp"

namespace quicken::server {

namespace {

using FdArray = std::array<int, control::k_client_fds>;

/// As a spare reads it.
Fd memory_of(const Program& program) {
    Fd memory(memfd_create("quicken-request", MFD_CLOEXEC));
    std::array<iovec, 2> parts{{{const_cast<wire::Request*>(&program.request), sizeof program.request},
                                {const_cast<char*>(program.body.data()), program.body.size()}}};
    const auto whole = static_cast<ssize_t>(sizeof program.request + program.body.size());
    if (memory && writev(memory.get(), parts.data(), 2) != whole) memory.reset();
    return memory;
}

}  // namespace

Packet receive_packet(int socket) {
    Packet packet;
    iovec part{&packet.message, sizeof packet.message};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(FdArray))> ancillary{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    packet.size = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (packet.size < 0) return packet;
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
        const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < std::min(count, packet.fds.size()); ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(rights) + i * sizeof fd, sizeof fd);
            packet.fds[i].reset(fd);
        }
    }
    packet.lost = (header.msg_flags & MSG_CTRUNC) != 0;
    return packet;
}

bool send_client(int socket, const Connection& client) {
    const Fd memory = memory_of(*client.program());
    if (!memory) return false;
    control::Message message{};
    message.kind = control::MessageKind::serve;
    const FdArray fds{client.socket(), client.deposit(), memory.get()};
    iovec part{&message, sizeof message};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fds)> ancillary{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fds);
    std::memcpy(CMSG_DATA(rights), fds.data(), sizeof fds);
    return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(sizeof message);
}

}  // namespace quicken::server
