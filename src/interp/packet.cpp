#include "packet.hpp"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

namespace quicken::interp {

int send_packet(int socket, const control::Message& message, int fd) {
    iovec part{const_cast<control::Message*>(&message), sizeof message};
    alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof fd)] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (fd >= 0) {
        header.msg_control = ancillary;
        header.msg_controllen = sizeof ancillary;
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) return -errno;
    }
    return 0;
}

bool receive_packet(int socket, control::Message& message) {
    for (;;) {
        const ssize_t got = recv(socket, &message, sizeof message, 0);
        if (got == static_cast<ssize_t>(sizeof message)) return true;
        if (got < 0 && errno == EINTR) continue;
        return false;
    }
}

}  // namespace quicken::interp
