// See transport.hpp. OpenSSL works on the socket itself (SSL_set_fd): its
// WANT_READ and WANT_WRITE are what recv(2)'s EAGAIN is, and the same wait for
// readiness serves both.
#include "http/transport.hpp"

#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/error.hpp"

namespace quicken::http {
namespace {

/// Most that one call of sendfile(2) is given, so that one fast client does not keep the loop.
constexpr std::size_t k_file_step = 1 << 20;

Transfer again_or_failed(Io again) {
    return {errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? again : Io::failed};
}

Transfer transferred(ssize_t size) {
    return {Io::done, static_cast<std::size_t>(size)};
}

}  // namespace

void Transport::Free::operator()(SSL* tls) const {
    SSL_free(tls);
}

Transport::Transport(Fd socket, SSL_CTX* tls) : socket_(std::move(socket)) {
    if (tls == nullptr) return;
    tls_.reset(SSL_new(tls));
    if (tls_ == nullptr || SSL_set_fd(tls_.get(), socket_.get()) != 1) throw Error("TLS: out of memory");
    SSL_set_accept_state(tls_.get());
    // Buffers go while nothing is under way; a write may go on from another place with the same bytes.
    SSL_set_mode(tls_.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

Transfer Transport::tls_result(int result) const {
    const int error = SSL_get_error(tls_.get(), result);
    ERR_clear_error();
    switch (error) {
        case SSL_ERROR_WANT_READ:
            return {Io::read_first};
        case SSL_ERROR_WANT_WRITE:
            return {Io::write_first};
        case SSL_ERROR_ZERO_RETURN:
            return {Io::end};
        default:
            return {Io::failed};
    }
}

Io Transport::handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(tls_.get());
    return result == 1 ? Io::done : tls_result(result).io;
}

Transfer Transport::read(std::span<char> buffer) {
    if (tls_ != nullptr) {
        ERR_clear_error();
        const int result = SSL_read(tls_.get(), buffer.data(), static_cast<int>(buffer.size()));
        return result > 0 ? transferred(result) : tls_result(result);
    }
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size > 0) return transferred(size);
    return size == 0 ? Transfer{Io::end} : again_or_failed(Io::read_first);
}

Transfer Transport::write(std::span<const iovec> parts, bool more, char* block) {
    if (tls_ != nullptr) {
        // One record for a head and a small body.
        std::size_t filled = 0;
        for (const iovec& part : parts) {
            const std::size_t size = std::min(part.iov_len, k_block - filled);
            std::memcpy(block + filled, part.iov_base, size);
            filled += size;
        }
        ERR_clear_error();
        const int result = SSL_write(tls_.get(), block, static_cast<int>(filled));
        return result > 0 ? transferred(result) : tls_result(result);
    }
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    const ssize_t size = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    return size > 0 ? transferred(size) : again_or_failed(Io::write_first);
}

Transfer Transport::send_file(int file, std::uint64_t offset, std::uint64_t size, char* block) {
    auto from = static_cast<off_t>(offset);
    if (tls_ == nullptr) {
        const ssize_t sent = ::sendfile(socket_.get(), file, &from,
                                        static_cast<std::size_t>(std::min<std::uint64_t>(size, k_file_step)));
        if (sent > 0) return transferred(sent);
        // 0: the file has become shorter than was announced.
        return sent == 0 ? Transfer{Io::failed} : again_or_failed(Io::write_first);
    }
    const ssize_t got =
        ::pread(file, block, static_cast<std::size_t>(std::min<std::uint64_t>(size, k_block)), from);
    if (got <= 0) return {Io::failed};
    ERR_clear_error();
    const int result = SSL_write(tls_.get(), block, static_cast<int>(got));
    return result > 0 ? transferred(result) : tls_result(result);
}

bool Transport::pending() const {
    return tls_ != nullptr && SSL_has_pending(tls_.get()) == 1;
}

int Transport::unsent() const {
    int size = 0;
    return ::ioctl(socket_.get(), SIOCOUTQ, &size) == 0 ? size : 0;
}

void Transport::forget_unsent() {
    const linger none{1, 0};
    (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

bool Transport::has_input() const {
    char byte = 0;
    return pending() || ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void Transport::shut() {
    if (tls_ != nullptr && SSL_is_init_finished(tls_.get())) {
        ERR_clear_error();
        SSL_shutdown(tls_.get());
        ERR_clear_error();
    }
    ::shutdown(socket_.get(), SHUT_WR);
}

}  // namespace quicken::http
