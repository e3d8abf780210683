#include "reply.hpp"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace quicken::interp {

bool send_reply(int connection, wire::ReplyKind kind, int value, int pid, const char* text, const int* fds,
                std::size_t fd_count) {
    std::size_t length = strlen(text);
    if (length > wire::k_max_reply_text) length = wire::k_max_reply_text;
    wire::Reply reply{kind, value, pid, static_cast<std::uint32_t>(length)};
    iovec parts[] = {{&reply, sizeof reply}, {const_cast<char*>(text), length}};
    msghdr header{};
    header.msg_iov = parts;
    header.msg_iovlen = length == 0 ? 1 : 2;
    alignas(cmsghdr) char ancillary[CMSG_SPACE(k_max_reply_fds * sizeof(int))] = {};
    if (fd_count > 0) {
        header.msg_control = ancillary;
        header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    ssize_t sent = 0;
    do {
        sent = sendmsg(connection, &header, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == static_cast<ssize_t>(sizeof reply + length);
}

}  // namespace quicken::interp
