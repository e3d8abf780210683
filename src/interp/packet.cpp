#include "packet.hpp"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

namespace quicken::interp {

int send_packet(int socket, const control::Message& message, int fd) {
    return send_packet(socket, message, &fd, fd >= 0 ? 1 : 0);
}

int send_packet(int socket, const control::Message& message, const int* fds, int count) {
    iovec part{const_cast<control::Message*>(&message), sizeof message};
    const std::size_t size = static_cast<std::size_t>(count) * sizeof *fds;
    alignas(cmsghdr) char ancillary[CMSG_SPACE(control::k_client_fds * sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (count > 0) {
        header.msg_control = ancillary;
        header.msg_controllen = CMSG_SPACE(size);
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(rights), fds, size);
    }
    while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) return -errno;
    }
    return 0;
}

bool receive_client(int socket, control::Message& message, int (&fds)[control::k_client_fds]) {
    iovec part{&message, sizeof message};
    alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof fds)] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary;
    header.msg_controllen = sizeof ancillary;
    ssize_t got = 0;
    do {
        got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (got != static_cast<ssize_t>(sizeof message) || rights == nullptr || rights->cmsg_type != SCM_RIGHTS ||
        rights->cmsg_len != CMSG_LEN(sizeof fds)) {
        return false;
    }
    memcpy(fds, CMSG_DATA(rights), sizeof fds);
    return true;
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
