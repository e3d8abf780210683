#include "connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/validate.hpp"

namespace quicken::server {

namespace {

/// Empty, or why this peer is not served.
std::string_view check_peer(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return "the client has no identity";
    if (peer.uid != geteuid()) return "the client is another user";
    if (peer.pid == 0) return "the client is in another pid namespace";
    return {};
}

void keep_fds(msghdr& header, std::vector<Fd>& fds) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            fds.emplace_back(fd);
        }
    }
}

}  // namespace

bool send_reply(int connection, wire::ReplyKind kind, int value, int pid, std::string_view text) {
    text = text.substr(0, wire::k_max_reply_text);
    wire::Reply reply{kind, value, pid, static_cast<std::uint32_t>(text.size())};
    std::array<iovec, 2> parts{{{&reply, sizeof reply}, {const_cast<char*>(text.data()), text.size()}}};
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = text.empty() ? 1 : 2;
    ssize_t sent = 0;
    do {
        sent = sendmsg(connection, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent == static_cast<ssize_t>(sizeof reply + text.size());
}

Connection::Connection(Loop& loop, Fd socket, Done done)
    : socket_(std::move(socket)), done_(std::move(done)) {
    readable_ = loop.on_io(socket_.get(), EPOLLIN | EPOLLRDHUP, [this](std::uint32_t) { read(); });
    deadline_ = loop.after(wire::k_request_timeout, [this] { finish(false); });
}

Connection::Connection(Loop& loop, Fd socket, std::shared_ptr<const Program> program, Fd deposit, Done done)
    : socket_(std::move(socket)),
      done_(std::move(done)),
      program_(std::move(program)),
      deposit_(std::move(deposit)),
      complete_(true) {
    readable_ = loop.on_io(socket_.get(), EPOLLIN | EPOLLRDHUP, [this](std::uint32_t) { read(); });
}

bool Connection::reply(wire::ReplyKind kind, int value, std::string_view text) const {
    return send_reply(socket_.get(), kind, value, 0, text);
}

void Connection::finish(bool complete) {
    deadline_.reset();
    complete_ = complete;
    data_.clear();
    fds_.clear();
    // `done_` may destroy this object.
    const Done done = done_;
    done(*this, complete);
}

void Connection::refuse(std::string_view reason) {
    reply(wire::ReplyKind::refused, 0, reason);
    finish(false);
}

bool Connection::read_some() {
    std::array<char, 65536> buffer{};
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * wire::k_fds_per_message)> ancillary{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    const ssize_t got = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) {
        finish(false);
        return true;
    }
    keep_fds(header, fds_);
    data_.append(buffer.data(), static_cast<std::size_t>(got));
    return false;
}

/// Called again after the request is complete only when the client has gone. finish() may destroy this
/// object: nothing of it is touched afterwards.
void Connection::read() {
    if (complete_) return finish(false);
    if (read_some()) return;
    wire::Request request{};
    if (data_.size() < sizeof request) return;
    std::memcpy(&request, data_.data(), sizeof request);
    std::uint32_t size = 0;
    if (const char* wrong = wire::check_header(request, size)) return refuse(wrong);
    if (data_.size() < sizeof request + size) return;
    if (data_.size() > sizeof request + size) return refuse("there is more than the request");
    if (const auto stranger = check_peer(socket_.get()); !stranger.empty()) return refuse(stranger);
    if (fds_.empty()) return refuse("the request's fds are not what it says");
    Program program;
    program.request = request;
    program.body = data_.substr(sizeof request);
    if (const char* wrong = wire::check_body(request, program.body.data(), static_cast<int>(fds_.size()))) {
        return refuse(wrong);
    }
    if (!program.look_at_client(socket_.get())) return refuse("the client's state cannot be read");
    deposit_ = std::move(fds_[0]);
    program_ = std::make_shared<const Program>(std::move(program));
    finish(true);
}

}  // namespace quicken::server
