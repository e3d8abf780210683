// See listener.hpp.
//
// Several processes may accept on one socket (a reload): EAGAIN is ordinary.
// Where no descriptor is left (EMFILE, ENFILE), the kernel would say at once
// again that a connection waits: so one that is kept for this is given up to
// take that connection and close it, and then accepting pauses.
#include "http/listener.hpp"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "common/error.hpp"

namespace quicken::http {
namespace {

constexpr int k_at_once = 16;     // connections accepted before others get their turn
constexpr double k_pause = 0.25;  // seconds without accepting where descriptors have run out

Fd reserve() {
    return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Listener::Listener(Core& core, Fd socket, SSL_CTX* tls)
    : core_(core), socket_(std::move(socket)), tls_(nullptr), reserve_(reserve()) {
    const int flags = ::fcntl(socket_.get(), F_GETFL);
    if (flags < 0 || ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        throw_errno("make non-blocking", "a listening socket");
    }
    watch_ = std::make_unique<Watch>(core.loop(), socket_.get(), *this);
    if (tls != nullptr) SSL_CTX_up_ref(tls);
    tls_ = tls;
    watch_->want_read();
}

Listener::~Listener() {
    watch_.reset();
    if (tls_ != nullptr) SSL_CTX_free(tls_);
}

void Listener::abandon() {
    socket_.reset();
    reserve_.reset();
}

void Listener::shed() {
    reserve_.reset();
    const Fd dropped(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

void Listener::accept_some() {
    int failed = 0;  // each time: the socket itself is of no use, as one that another process has shut
    for (int i = 0; i < k_at_once; ++i) {
        Fd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket) {
            core_.connect(std::move(socket), tls_);
            continue;
        }
        if (errno == EAGAIN) break;
        // Everything else but these is about one connection that has already gone (accept(2)).
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            shed();
            if (!reserve_) reserve_ = reserve();
        } else if (++failed < k_at_once) {
            continue;
        }
        pause_ = core_.loop().after(k_pause, [this] { watch_->want_read(); });
        return;
    }
    watch_->want_read();
}

void Listener::on_readable() {
    if (!reserve_) reserve_ = reserve();
    accept_some();
}

}  // namespace quicken::http
