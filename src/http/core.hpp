// What all connections of one server share. The loop's thread alone touches it,
// but for what says otherwise.
#pragma once

#include <openssl/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"
#include "http/loop.hpp"
#include "http/settings.hpp"

namespace quicken::http {

class Adoption;
class Connection;
class ConnectionExchange;
class Handover;
class Listener;

/// Milliseconds of a clock that only goes on; 0 is never a time.
using Ticks = std::uint64_t;
inline constexpr Ticks k_never = ~Ticks{0};

class Core : public std::enable_shared_from_this<Core> {
 public:
    Core(Application& application, const Settings& settings);
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    Application& application() { return application_; }
    const Settings& settings() const { return settings_; }
    Loop& loop() { return loop_; }

    /// Room for what is read, and for a block that TLS is to send.
    static constexpr std::size_t k_read_size = 64 << 10;
    char* read_buffer() { return read_buffer_.get(); }
    char* block() { return block_.get(); }

    /// An exchange for `connection`. What its last owner lets go of comes back to the loop's thread.
    std::shared_ptr<ConnectionExchange> make_exchange(Connection& connection);

    /// One that has been let go of, with no connection.
    void keep(std::unique_ptr<ConnectionExchange> exchange);

    // Connections, which delete themselves.
    void connect(Fd socket, SSL_CTX* tls);
    /// One that a predecessor had, whatever the number of connections: it has had its place before, and an
    /// idle client would take a refusal for the answer to its next request.
    void take_over(Fd socket, std::string read_already);
    void add(Connection& connection);
    void remove(Connection& connection);
    void close_all();
    /// A connection's answer has been an error, and its peer may still send. False: there are too many such.
    bool begin_to_linger();
    void end_to_linger() { --lingering_; }

    // Listeners and hand-overs.
    void listen(Fd listener, SSL_CTX* tls);
    /// Any thread.
    void listen_soon(Fd listener, SSL_CTX* tls);
    void drain(Fd successor);
    void adopt(Fd predecessor);
    void end(Adoption& adoption);
    void stop();
    bool draining() const { return draining_; }
    bool has_successor() const { return handover_ != nullptr; }
    /// A connection between two requests while draining: it is gone when this returns true.
    bool leave(Connection& connection);
    void offer_all();
    void cut_handshakes();
    /// For good: nothing refers to it but exchanges that were let go by no one yet. Any thread asks.
    void close();
    bool closed() const { return closed_.load(std::memory_order_acquire); }
    /// After a fork.
    void abandon();

    // Time.
    static Ticks now();
    /// When a time limit of so many seconds ends that begins now; none if it is 0.
    static Ticks in(double seconds);
    /// A connection has such a deadline: it is looked at within a quarter of a second after it.
    void note(Ticks deadline);
    /// RFC 9110's, of now; valid until the next call.
    std::string_view date();

    // What Server::activity() tells; read by any thread.
    struct Counts {
        std::atomic<std::uint64_t> answering = 0;
        std::atomic<std::uint64_t> connections = 0;
        std::atomic<std::uint64_t> requests = 0;
        std::atomic<Ticks> last = 0;
    };
    static void increase(std::atomic<std::uint64_t>& count, std::uint64_t by);
    Counts& counts() { return counts_; }
    /// Calls once when so many requests have ended; of two such the later one is meant.
    void tell_after(std::uint64_t requests, std::function<void()> tell);
    void tell_if_due();
    const Counts& counts() const { return counts_; }

 private:
    Connection* make_connection(Fd socket, SSL_CTX* tls);
    void sweep();
    void finish_if_done();

    Application& application_;
    const Settings& settings_;
    Loop loop_;
    std::unique_ptr<char[]> read_buffer_;
    std::unique_ptr<char[]> block_;
    std::vector<std::unique_ptr<ConnectionExchange>> spare_;

    Connection* first_ = nullptr;
    std::uint64_t lingering_ = 0;  // connections
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::vector<std::unique_ptr<Adoption>> adoptions_;
    std::unique_ptr<Handover> handover_;
    bool draining_ = false;
    bool stopping_ = false;
    std::atomic<bool> closed_ = false;
    std::shared_ptr<void> drain_timer_;

    std::shared_ptr<void> sweep_timer_;
    Ticks next_sweep_ = k_never;
    std::int64_t date_second_ = -1;
    std::string date_;
    Counts counts_;
    std::uint64_t told_after_ = ~std::uint64_t{0};
    std::function<void()> tell_;
};

}  // namespace quicken::http
