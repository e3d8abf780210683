// server.hpp over core.hpp. Why one thread may take the loop from another is
// argued in loop.hpp.
//
// After a fork nothing of Asio may be touched in the child: its epoll set is
// shared with the parent, and what the child takes out of it would be lost to
// the parent. So abandon() closes plain descriptors, and the destructor leaves
// the rest where it is.
#include "http/server.hpp"

#include <signal.h>
#include <sys/socket.h>

#include <utility>

#include "common/error.hpp"
#include "http/core.hpp"

typedef struct ssl_ctx_st SSL_CTX;

namespace quicken::http {

class Server::Impl {
 public:
    Impl(Application& application, const Settings& settings)
        : core(std::make_shared<Core>(application, settings)) {}

    std::shared_ptr<Core> core;
    bool abandoned = false;
};

namespace {

/// A peer that has gone must not kill the process: sendfile(2) and OpenSSL's write have no flag against it.
void ignore_broken_pipes() {
    struct sigaction present {};
    if (::sigaction(SIGPIPE, nullptr, &present) == 0 && present.sa_handler == SIG_DFL) {
        ::signal(SIGPIPE, SIG_IGN);
    }
}

void check_listening(int socket) {
    int listening = 0;
    socklen_t size = sizeof listening;
    if (::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) {
        throw_errno("listen on", "a descriptor");
    }
    if (listening == 0) throw Error("listen on", "a socket that does not", EINVAL);
}

}  // namespace

Server::Server(Application& application, const Settings& settings)
    : impl_(std::make_unique<Impl>(application, settings)) {}

Server::~Server() {
    if (impl_->abandoned) {
        (void)impl_.release();
        return;
    }
    impl_->core->loop().settle([this] { impl_->core->close(); });
}

void Server::listen(Fd listener, SSL_CTX* tls) {
    check_listening(listener.get());
    impl_->core->listen_soon(std::move(listener), tls);
}

bool Server::run() {
    ignore_broken_pipes();
    return impl_->core->loop().run();
}

bool Server::on_loop() const {
    return impl_->core->loop().on_loop();
}

void Server::depose() {
    impl_->core->loop().depose();
}

void Server::post(std::function<void()> action) {
    impl_->core->loop().post(std::move(action));
}

std::shared_ptr<void> Server::after(double seconds, std::function<void()> action) {
    return impl_->core->loop().after(seconds, std::move(action));
}

void Server::drain(Fd successor) {
    auto socket = std::make_shared<Fd>(std::move(successor));
    post([core = impl_->core.get(), socket] { core->drain(std::move(*socket)); });
}

void Server::adopt(Fd predecessor) {
    auto socket = std::make_shared<Fd>(std::move(predecessor));
    post([core = impl_->core.get(), socket] { core->adopt(std::move(*socket)); });
}

void Server::stop() {
    post([core = impl_->core.get()] { core->stop(); });
}

Server::Activity Server::activity() const {
    const Core::Counts& counts = impl_->core->counts();
    const Ticks last = counts.last.load(std::memory_order_relaxed);
    const Ticks now = Core::now();
    return {counts.answering.load(std::memory_order_relaxed),
            counts.connections.load(std::memory_order_relaxed),
            now > last ? static_cast<double>(now - last) / 1000 : 0.0,
            counts.requests.load(std::memory_order_relaxed)};
}

void Server::tell_after(std::uint64_t requests, std::function<void()> tell) {
    post([core = impl_->core.get(), requests, tell = std::move(tell)]() mutable {
        core->tell_after(requests, std::move(tell));
    });
}

void Server::abandon() {
    impl_->abandoned = true;
    impl_->core->abandon();
}

boost::asio::io_context& Server::context() {
    return impl_->core->loop().context();
}

}  // namespace quicken::http
