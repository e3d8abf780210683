// See core.hpp.
#include "http/core.hpp"

#include <openssl/ssl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "common/error.hpp"
#include "http/connection.hpp"
#include "http/connection_exchange.hpp"
#include "http/handover.hpp"
#include "http/listener.hpp"

namespace quicken::http {
namespace {

constexpr Ticks k_sweep = 250;                // milliseconds; how late a deadline may be noticed
constexpr std::size_t k_spare = 256;          // exchanges kept for the next requests
constexpr std::uint64_t k_turned_away = 256;  // connections at a time that are told so; the rest is closed
constexpr std::uint64_t k_lingering = 1024;   // connections that linger at a time; the rest is closed

}  // namespace

Core::Core(Application& application, const Settings& settings)
    : application_(application),
      settings_(settings),
      read_buffer_(std::make_unique_for_overwrite<char[]>(k_read_size + 1)),
      block_(std::make_unique_for_overwrite<char[]>(Transport::k_block)) {
    counts_.last = now();
}

Core::~Core() = default;

void Core::increase(std::atomic<std::uint64_t>& count, std::uint64_t by) {
    // Written by the loop's thread alone.
    count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

void Core::tell_after(std::uint64_t requests, std::function<void()> tell) {
    told_after_ = requests;
    tell_ = std::move(tell);
    tell_if_due();
}

void Core::tell_if_due() {
    const std::uint64_t answering = counts_.answering.load(std::memory_order_relaxed);
    if (counts_.requests.load(std::memory_order_relaxed) - answering < told_after_) return;
    told_after_ = ~std::uint64_t{0};
    std::exchange(tell_, nullptr)();
}

Ticks Core::now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return static_cast<Ticks>(time.tv_sec) * 1000 + static_cast<Ticks>(time.tv_nsec) / 1'000'000;
}

Ticks Core::in(double seconds) {
    return seconds > 0 && seconds < 1e12 ? now() + static_cast<Ticks>(seconds * 1000) + 1 : k_never;
}

void Core::note(Ticks deadline) {
    if (deadline >= next_sweep_) return;
    const Ticks present = now();
    next_sweep_ = std::max(deadline, present + k_sweep);
    sweep_timer_ = loop_.after(static_cast<double>(next_sweep_ - present) / 1000, [this] { sweep(); });
}

void Core::sweep() {
    const Ticks present = now();
    Ticks nearest = k_never;
    for (Connection* connection = first_; connection != nullptr;) {
        Connection* next = connection->after_;
        nearest = std::min(nearest, connection->check(present));
        connection = next;
    }
    next_sweep_ = k_never;
    if (nearest != k_never) note(nearest);
}

std::string_view Core::date() {
    static constexpr std::array<const char*, 7> k_days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<const char*, 12> k_months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
    if (time.tv_sec == date_second_) return date_;
    date_second_ = time.tv_sec;
    tm parts{};
    ::gmtime_r(&time.tv_sec, &parts);
    std::array<char, 64> text{};
    const int size = std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                   k_days[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                                   k_months[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                                   parts.tm_hour, parts.tm_min, parts.tm_sec);
    date_.assign(text.data(), static_cast<std::size_t>(size));
    return date_;
}

std::shared_ptr<ConnectionExchange> Core::make_exchange(Connection& connection) {
    std::unique_ptr<ConnectionExchange> exchange;
    if (spare_.empty()) {
        exchange = std::make_unique<ConnectionExchange>();
    } else {
        exchange = std::move(spare_.back());
        spare_.pop_back();
    }
    exchange->core_ = shared_from_this();
    exchange->connection_ = &connection;
    return {exchange.release(), Recycle()};
}

void Core::keep(std::unique_ptr<ConnectionExchange> exchange) {
    exchange->core_.reset();
    exchange->gone_ = nullptr;
    exchange->ended_ = nullptr;
    Request& request = exchange->request_;
    request.method = request.target = {};
    request.fields.clear();
    request.content_length.reset();
    request.chunked = request.upgrade = false;
    request.keep_alive = true;
    request.minor = 1;
    constexpr std::size_t k_kept_head = 2 << 10;
    if (spare_.size() < k_spare && exchange->head_.capacity() <= k_kept_head)
        spare_.push_back(std::move(exchange));
}

/// nullptr: its peer sees the end.
Connection* Core::make_connection(Fd socket, SSL_CTX* tls) {
    socket = above_streams(std::move(socket));
    if (!socket) return nullptr;
    try {
        // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): it deletes itself (connection.hpp).
        return new Connection(*this, std::move(socket), tls);
    } catch (const Error&) {
        return nullptr;  // no memory in the kernel for it
    }
}

void Core::take_over(Fd socket, std::string read_already) {
    Connection* connection = make_connection(std::move(socket), nullptr);
    if (connection != nullptr) connection->start(std::move(read_already));
}

void Core::connect(Fd socket, SSL_CTX* tls) {
    // Those that linger have had their answer, and have a bound of their own: they take nobody's place.
    const std::uint64_t present = counts_.connections.load(std::memory_order_relaxed) - lingering_;
    const bool full = present >= settings_.max_connections;
    const bool crowd = present >= settings_.max_connections + k_turned_away || lingering_ >= k_lingering;
    // A handshake only to be turned away would cost more than it tells.
    if (full && (tls != nullptr || crowd)) return;
    Connection* connection = make_connection(std::move(socket), tls);
    if (connection == nullptr) return;
    if (full) {
        connection->turn_away();
    } else {
        connection->start({});
    }
}

void Core::add(Connection& connection) {
    connection.after_ = first_;
    if (first_ != nullptr) first_->before_ = &connection;
    first_ = &connection;
    increase(counts_.connections, 1);
}

void Core::remove(Connection& connection) {
    (connection.before_ != nullptr ? connection.before_->after_ : first_) = connection.after_;
    if (connection.after_ != nullptr) connection.after_->before_ = connection.before_;
    increase(counts_.connections, ~std::uint64_t{0});
    if (draining_ || stopping_) finish_if_done();
}

bool Core::begin_to_linger() {
    if (lingering_ >= k_lingering) return false;
    ++lingering_;
    return true;
}

void Core::close_all() {
    while (first_ != nullptr) first_->cut();
}

void Core::listen(Fd listener, SSL_CTX* tls) {
    listeners_.push_back(std::make_unique<Listener>(*this, std::move(listener), tls));
}

void Core::listen_soon(Fd listener, SSL_CTX* tls) {
    struct Given {
        Fd socket;
        std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> tls{nullptr, &SSL_CTX_free};
    };
    auto given = std::make_shared<Given>();
    given->socket = std::move(listener);
    if (tls != nullptr) SSL_CTX_up_ref(tls);
    given->tls.reset(tls);
    loop_.post([this, given] { listen(std::move(given->socket), given->tls.get()); });
}

void Core::adopt(Fd predecessor) {
    adoptions_.push_back(std::make_unique<Adoption>(*this, std::move(predecessor)));
}

void Core::end(Adoption& adoption) {
    std::erase_if(adoptions_, [&adoption](const auto& one) { return one.get() == &adoption; });
    finish_if_done();
}

void Core::drain(Fd successor) {
    draining_ = true;
    listeners_.clear();
    if (successor) handover_ = std::make_unique<Handover>(*this, std::move(successor));
    drain_timer_ = loop_.after(settings_.drain_timeout, [this] { stop(); });
    // Nobody has asked for anything there, and one may be stuck; at a reload it is worth the wait.
    if (handover_ == nullptr) cut_handshakes();
    offer_all();
    finish_if_done();
}

bool Core::leave(Connection& connection) {
    if (handover_ != nullptr) {
        if (connection.tls() || connection.unused().size() > k_most_handed_over) return false;
        switch (handover_->send(connection.socket(), connection.unused())) {
            case Handover::Sent::yes:
                connection.close(true);
                return true;
            case Handover::Sent::later:
                return false;
            case Handover::Sent::never:
                handover_.reset();
                break;
        }
    }
    if (!connection.unused().empty() || connection.has_input()) return false;
    connection.take_leave();
    return true;
}

void Core::offer_all() {
    for (Connection* connection = first_; connection != nullptr;) {
        Connection* next = connection->after_;
        if (connection->between_requests()) leave(*connection);
        connection = next;
    }
}

void Core::cut_handshakes() {
    for (Connection* connection = first_; connection != nullptr;) {
        Connection* next = connection->after_;
        if (connection->in_handshake()) connection->cut();
        connection = next;
    }
}

void Core::stop() {
    stopping_ = true;
    listeners_.clear();
    adoptions_.clear();
    close_all();
    finish_if_done();
}

void Core::finish_if_done() {
    if (!draining_ && !stopping_) return;
    if (first_ != nullptr || !adoptions_.empty()) return;
    draining_ = stopping_ = false;
    drain_timer_.reset();
    handover_.reset();
    loop_.finish();
}

void Core::close() {
    stop();
    closed_.store(true, std::memory_order_release);
    spare_.clear();
}

void Core::abandon() {
    for (Connection* connection = first_; connection != nullptr; connection = connection->after_) {
        connection->abandon();
    }
    for (const auto& listener : listeners_) listener->abandon();
    for (const auto& adoption : adoptions_) adoption->abandon();
    if (handover_ != nullptr) handover_->abandon();
}

}  // namespace quicken::http
