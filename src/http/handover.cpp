// See handover.hpp.
#include "http/handover.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "common/error.hpp"

namespace quicken::http {
namespace {

constexpr int k_at_once = 16;     // connections taken before others get their turn
constexpr double k_pause = 0.02;  // seconds, where too many descriptors are under way

void make_non_blocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        throw_errno("make non-blocking", "a hand-over socket");
    }
}

union Control {
    cmsghdr align;
    std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

/// The descriptor of a packet, or none.
Fd descriptor_of(msghdr& message) {
    const cmsghdr* part = CMSG_FIRSTHDR(&message);
    if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) return {};
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
    return Fd(fd);
}

}  // namespace

Handover::Handover(Core& core, Fd socket) : core_(core), socket_(std::move(socket)) {
    make_non_blocking(socket_.get());
    watch_ = std::make_unique<Watch>(core.loop(), socket_.get(), *this);
}

Handover::Sent Handover::send(int connection, std::string_view read_already) {
    char tag = 0;
    std::array<iovec, 2> parts{iovec{&tag, 1},
                               iovec{const_cast<char*>(read_already.data()), read_already.size()}};
    Control control{};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(part), &connection, sizeof connection);
    if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0) return Sent::yes;
    if (errno == EAGAIN || errno == ENOBUFS) {
        watch_->want_write();
        return Sent::later;
    }
    if (errno == ETOOMANYREFS) {
        pause_ = core_.loop().after(k_pause, [this] { core_.offer_all(); });
        return Sent::later;
    }
    return Sent::never;
}

void Handover::on_writable() {
    core_.offer_all();
}

Adoption::Adoption(Core& core, Fd socket) : core_(core), socket_(std::move(socket)) {
    make_non_blocking(socket_.get());
    watch_ = std::make_unique<Watch>(core.loop(), socket_.get(), *this);
    watch_->want_read();
}

bool Adoption::take() {
    iovec whole{core_.read_buffer(), Core::k_read_size + 1};
    Control control{};
    msghdr message{};
    message.msg_iov = &whole;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    const ssize_t size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        watch_->want_read();
        return false;
    }
    if (size <= 0) {
        core_.end(*this);
        return false;
    }
    // Without a descriptor (none was left in this process) the connection is lost, and its peer sees the end.
    if (Fd socket = descriptor_of(message)) {
        core_.take_over(std::move(socket),
                        std::string(core_.read_buffer() + 1, static_cast<std::size_t>(size) - 1));
    }
    return true;
}

void Adoption::on_readable() {
    for (int i = 0; i < k_at_once; ++i) {
        if (!take()) return;
    }
    watch_->want_read();
}

}  // namespace quicken::http
