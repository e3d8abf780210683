#include "deposit.hpp"

#include <cerrno>

#include "common/sys.hpp"
#include "common/wire.hpp"
#include "descriptor.hpp"
#include "passed.hpp"

namespace quicken::client {

namespace {

/// One message with these fds, or -errno.
template <std::size_t k_count>
long put(int socket, Passed<k_count>& passed, const void* data, std::size_t size) {
    iovec part{const_cast<void*>(data), size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    passed.attach(message);
    return sys::sendmsg(socket, message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

long put_streams(int socket, const wire::Inherited& inherited, std::uint32_t terminal) {
    Passed<4> passed;
    for (int fd = 0; fd < 3; ++fd) {
        if (((inherited.streams & ~terminal) >> static_cast<unsigned>(fd) & 1U) != 0) passed.add(fd);
    }
    return put(socket, passed, &inherited, sizeof inherited);
}

long put_others(int socket, std::span<const std::uint32_t> numbers) {
    Passed<wire::k_fds_per_message> passed;
    for (const std::uint32_t number : numbers) {
        if ((number & wire::k_terminal_fd) == 0) passed.add(static_cast<int>(number));
    }
    return put(socket, passed, numbers.data(), numbers.size_bytes());
}

}  // namespace

bool Deposit::open() {
    int ends[2];
    if (sys::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, ends) < 0) return false;
    ours_ = lift(ends[0]);
    theirs_ = lift(ends[1]);
    return true;
}

int Deposit::fill(std::uint32_t streams, std::uint32_t terminal,
                  std::span<const std::uint32_t> inherited) const {
    const auto others = static_cast<std::uint32_t>(inherited.size());
    long sent = put_streams(ours_, {streams, others}, terminal);
    while (sent >= 0 && !inherited.empty()) {
        const std::size_t count =
            inherited.size() < wire::k_fds_per_message ? inherited.size() : wire::k_fds_per_message;
        sent = put_others(ours_, inherited.first(count));
        inherited = inherited.subspan(count);
    }
    return sent < 0 ? static_cast<int>(sent) : 0;
}

/// Received without room for them, fds are closed by the kernel (unix(7)).
void Deposit::withdraw() const {
    char byte;
    while (sys::receive(theirs_, &byte, 1, MSG_DONTWAIT) > 0) continue;
}

std::uint32_t open_streams() {
    std::uint32_t mask = 0;
    for (int fd = 0; fd < 3; ++fd) {
        if (sys::fcntl(fd, F_GETFD) >= 0) mask |= 1U << static_cast<unsigned>(fd);
    }
    return mask;
}

}  // namespace quicken::client
