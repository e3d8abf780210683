// What connection.hpp says of phases, readiness and the end. Heads and bodies:
// request.cpp. Answers: answer.cpp. After the take-over: stream.cpp.
#include "http/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "http/connection_exchange.hpp"

namespace quicken::http {
namespace {

constexpr std::size_t k_kept_input = 2 << 10;      // bytes of room that an idle connection keeps
constexpr std::size_t k_read_ahead = 64 << 10;     // bytes read beyond the request that is being answered
constexpr double k_linger_time = 5;                // seconds
constexpr std::uint64_t k_linger_size = 64 << 20;  // bytes
constexpr int k_drops_at_once = 16;                // reads before others get their turn

struct Peer {
    std::string address;
    std::uint16_t port = 0;
};

/// Numeric; nothing for a Unix socket. An IPv4 client of an IPv6 socket has its IPv4 address.
Peer peer_of(int socket) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    auto* name = reinterpret_cast<sockaddr*>(&storage);
    if (::getpeername(socket, name, &size) != 0) return {};
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (name->sa_family == AF_INET) {
        const auto* four = reinterpret_cast<const sockaddr_in*>(&storage);
        ::inet_ntop(AF_INET, &four->sin_addr, text.data(), text.size());
        return {text.data(), ntohs(four->sin_port)};
    }
    if (name->sa_family != AF_INET6) return {};
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&storage);
    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        ::inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text.data(), text.size());
    } else {
        ::inet_ntop(AF_INET6, &six->sin6_addr, text.data(), text.size());
    }
    return {text.data(), ntohs(six->sin6_port)};
}

}  // namespace

Connection::Connection(Core& core, Fd socket, SSL_CTX* tls)
    : core_(core),
      transport_(std::move(socket), tls),
      watch_(std::make_unique<Watch>(core.loop(), transport_.socket(), *this)) {
    // Not left to the listener, which hands it down only to connections made after it was set: those in the
    // queue of a socket that was given to this process are older. A Unix socket has no such option and needs
    // none.
    const int on = 1;
    (void)::setsockopt(transport_.socket(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Peer peer = peer_of(transport_.socket());
    peer_address_ = std::move(peer.address);
    peer_port_ = peer.port;
}

Connection::~Connection() = default;

void Connection::start(std::string read_already) {
    core_.add(*this);
    if (tls()) {
        phase_ = Phase::handshake;
        set_read_deadline(core_.settings().handshake_timeout);
        shake_hands();
        return;
    }
    set_read_deadline(core_.settings().idle_timeout);
    // Handed over to one that drains itself: it goes on.
    if (read_already.empty() && !core_.draining()) return want_read();
    input_ = std::move(read_already);
    core_.loop().soon(*this);
}

void Connection::turn_away() {
    core_.add(*this);
    const auto exchange = core_.make_exchange(*this);
    refuse_head({503, "Too many connections"}, *exchange);
}

void Connection::shake_hands() {
    const Io io = transport_.handshake();
    if (io == Io::end || io == Io::failed) return close();
    if (io != Io::done) return wait_to_read(io);
    phase_ = Phase::head;
    set_read_deadline(core_.settings().idle_timeout);
    core_.loop().soon(*this);
}

void Connection::set_read_deadline(double seconds) {
    read_deadline_ = Core::in(seconds);
    core_.note(read_deadline_);
}

void Connection::set_write_deadline(double seconds) {
    write_deadline_ = Core::in(seconds);
    core_.note(write_deadline_);
}

void Connection::want_read() {
    if (input_over_) return;
    if (!transport_.pending()) return watch_->want_read();
    readable_ = true;
    core_.loop().soon(*this);
}

void Connection::wait_to_read(Io what) {
    if (what == Io::read_first) return watch_->want_read();
    read_when_writable_ = true;
    watch_->want_write();
}

void Connection::wait_to_write(Io what) {
    if (what == Io::write_first) return watch_->want_write();
    write_when_readable_ = true;
    watch_->want_read();
}

Io Connection::fill() {
    const Transfer transfer = transport_.read({core_.read_buffer(), Core::k_read_size});
    if (transfer.io != Io::done) return transfer.io;
    if (used_ > 0) {
        input_.erase(0, used_);
        used_ = 0;
    }
    input_.append(core_.read_buffer(), transfer.size);
    return Io::done;
}

void Connection::consume(std::size_t size) {
    used_ += size;
}

void Connection::on_readable() {
    if (std::exchange(write_when_readable_, false)) flush();
    switch (phase_) {
        case Phase::handshake:
            return shake_hands();
        case Phase::lingering:
            return drop_input();
        case Phase::tunnel:
            return tunnel_input();
        case Phase::closed:
            return;
        default:
            break;
    }
    if (phase_ == Phase::answering && !reader_ && unused().size() >= k_read_ahead) return;
    const std::size_t before = unused().size();
    const Io io = fill();
    if (io == Io::failed) return cut();
    if (io == Io::read_first || io == Io::write_first) return wait_to_read(io);
    if (io == Io::end) input_ended();
    if (phase_ == Phase::head) return process_head();
    if (phase_ == Phase::discarding) return discard_body();
    if (!reader_) return want_read();
    body_came(unused().size() - before);
    if (reader_) pump_body();
}

void Connection::input_ended() {
    input_over_ = true;
    if (exchange_ != nullptr && exchange_->ended_)
        core_.loop().soon(std::exchange(exchange_->ended_, nullptr));
}

void Connection::on_writable() {
    const bool read_too = std::exchange(read_when_writable_, false);
    if (phase_ != Phase::handshake && !output_.empty()) flush();
    if (read_too && phase_ != Phase::closed) on_readable();
}

void Connection::run_soon() {
    // The head of an answer in parts whose first part has not come yet.
    if (phase_ == Phase::answering && !output_.empty() && write_deadline_ == k_never) {
        flush();
        if (phase_ != Phase::answering) return;  // the client had gone
    }
    if (std::exchange(readable_, false)) return on_readable();
    switch (phase_) {
        case Phase::head:
            return next_request();
        case Phase::answering:
            if (reader_) return pump_body();
            // Nobody reads, but that the client goes is to be noticed.
            if (unused().size() < k_read_ahead) want_read();
            return;
        case Phase::discarding:
            return discard_body();
        default:
            return;
    }
}

void Connection::next_request() {
    if (core_.draining() && core_.leave(*this)) return;
    if (!unused().empty()) return process_head();
    if (input_over_) return close();
    used_ = 0;
    input_.clear();
    if (input_.capacity() > k_kept_input) input_.shrink_to_fit();
    want_read();
}

void Connection::take_leave() {
    if (tls()) transport_.shut();
    close();
}

void Connection::linger() {
    phase_ = Phase::lingering;
    transport_.shut();
    if (input_over_ || !core_.begin_to_linger()) return close();
    lingers_ = true;
    input_ = std::string();
    used_ = 0;
    body_left_ = k_linger_size;
    set_read_deadline(k_linger_time);
    drop_input();
}

void Connection::drop_input() {
    for (int i = 0; i < k_drops_at_once; ++i) {
        const Transfer transfer = transport_.read({core_.read_buffer(), Core::k_read_size});
        if (transfer.io == Io::read_first || transfer.io == Io::write_first) return wait_to_read(transfer.io);
        if (transfer.io != Io::done || transfer.size > body_left_) return close();
        body_left_ -= transfer.size;
    }
    want_read();
}

/// A slow client takes bytes long before there is so much room that the kernel calls the socket writable.
bool Connection::still_takes() {
    const int before = std::exchange(unsent_, transport_.unsent());
    if (unsent_ >= before) return false;
    set_write_deadline(core_.settings().write_timeout);
    return true;
}

Ticks Connection::check(Ticks now) {
    if (write_deadline_ <= now && !still_takes()) {
        transport_.forget_unsent();
        cut();
        return k_never;
    }
    if (read_deadline_ <= now) {
        read_deadline_ = k_never;
        if (phase_ == Phase::head && !unused().empty()) {
            const auto exchange = core_.make_exchange(*this);
            refuse_head({408, {}}, *exchange);
        } else if (phase_ == Phase::answering) {
            fail(408, {});
        } else if (phase_ == Phase::head) {
            take_leave();
        } else {
            close();
        }
    }
    return phase_ == Phase::closed ? k_never : std::min(read_deadline_, write_deadline_);
}

void Connection::fail_callbacks(std::error_code error) {
    reading_failed(error);
    if (written_) {
        core_.loop().soon([done = std::exchange(written_, nullptr), error] { done(error); });
    }
    if (stream_read_) {
        core_.loop().soon([done = std::exchange(stream_read_, nullptr), error] { done(error, {}); });
    }
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->connection_ = nullptr;
}

void Connection::cut() {
    if (phase_ == Phase::closed) return;
    if (exchange_ != nullptr) {
        if (exchange_->gone_) core_.loop().soon(std::exchange(exchange_->gone_, nullptr));
        if (answer_.begun) report();
        detach();
    }
    close();
}

void Connection::close(bool handed_over) {
    if (phase_ == Phase::closed) return;
    phase_ = Phase::closed;
    fail_callbacks(std::make_error_code(std::errc::connection_reset));
    detach();
    watch_.reset();
    {
        const Fd socket = transport_.release();
        // A child of this process that was forked meanwhile may have the socket too: the peer is to see the
        // end.
        if (!handed_over) ::shutdown(socket.get(), SHUT_RDWR);
    }
    if (lingers_) core_.end_to_linger();
    core_.remove(*this);
    core_.loop().soon([this] { delete this; });
}

}  // namespace quicken::http
