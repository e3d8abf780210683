#include "deposit.hpp"

#include <cerrno>

#include "common/sys.hpp"
#include "common/wire.hpp"
#include "descriptor.hpp"
#include "passed.hpp"

namespace quicken::client {

namespace {

std::uint32_t open_streams() {
    std::uint32_t mask = 0;
    for (int fd = 0; fd < 3; ++fd) {
        if (sys::fcntl(fd, F_GETFD) >= 0) mask |= 1U << static_cast<unsigned>(fd);
    }
    return mask;
}

/// One message with these fds, or -errno. Its byte means nothing.
template <std::size_t k_count>
long put(int socket, Passed<k_count>& passed) {
    char byte = 0;
    iovec part{&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    passed.attach(message);
    return sys::sendmsg(socket, message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

long put_streams(int socket, std::uint32_t streams) {
    Passed<4> passed;
    for (int fd = 0; fd < 3; ++fd) {
        if ((streams >> static_cast<unsigned>(fd) & 1U) != 0) passed.add(fd);
    }
    return put(socket, passed);
}

}  // namespace

const char* Deposit::make(std::uint32_t terminal, std::span<const std::uint32_t> inherited) {
    int ends[2];
    if (sys::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, ends) < 0) return "no socket can be made";
    ours_ = lift(ends[0]);
    theirs_ = lift(ends[1]);
    long sent = put_streams(ours_, streams_ & ~terminal);
    if (sent == -EBADF) {  // one of the streams is closed: it is to stay so
        streams_ = open_streams();
        sent = put_streams(ours_, streams_ & ~terminal);
    }
    while (sent >= 0 && !inherited.empty()) {
        Passed<wire::k_fds_per_message> passed;
        while (!inherited.empty() && passed.length < CMSG_LEN(sizeof passed.fds)) {
            if ((inherited.front() & wire::k_terminal_fd) == 0)
                passed.add(static_cast<int>(inherited.front()));
            inherited = inherited.subspan(1);
        }
        sent = put(ours_, passed);
    }
    return sent < 0 ? "the file descriptors cannot be passed" : nullptr;
}

/// Received without room for them, fds are closed by the kernel (unix(7)).
void Deposit::withdraw() const {
    char byte;
    while (sys::receive(theirs_, &byte, 1, MSG_DONTWAIT) > 0) continue;
}

}  // namespace quicken::client
