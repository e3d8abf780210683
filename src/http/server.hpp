// The engine: listening sockets, connections, TLS, the loop.
//
// The loop belongs to one thread at a time, not to one for good: a script's
// handler runs on it, and if it takes too long another thread goes on with the
// loop (depose()). That is safe because the thread that lost it does nothing
// but return: whatever calls Application::handle() touches nothing afterwards.
//
// Fork safety: a child must call abandon() and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "common/fd.hpp"
#include "http/exchange.hpp"
#include "http/settings.hpp"

typedef struct ssl_ctx_st SSL_CTX;  // openssl/ssl.h

namespace boost::asio {
class io_context;
}

namespace quicken::http {

class Server {
 public:
    /// Both outlive it. Settings may be changed on the loop's thread: connections look at them anew each
    /// time.
    Server(Application& application, const Settings& settings);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Accepts on a listening socket (TCP or Unix, made non-blocking). `tls` may be null; a reference is
    /// taken. Any thread, also before run(). Throws Error.
    void listen(Fd listener, SSL_CTX* tls);

    /// Runs the loop on this thread until it has stopped or drained, or this thread is deposed: then false.
    bool run();
    bool on_loop() const;
    /// The loop's thread is inside Application::handle(), or the callback of Exchange::read_body(), or an
    /// action of post(), and will be for long: its run() returns false when that returns, and whoever calls
    /// this has the next run() called, maybe before the old one has returned. Any thread, also that one
    /// itself; the caller sees to it that the call does not end meanwhile (a compare-exchange of its own,
    /// about the same call).
    void depose();

    /// Any thread: runs it on the loop's thread, soon.
    void post(std::function<void()> action);
    /// Loop's thread: calls once after that time, unless the returned handle is destroyed before. The handle
    /// must not outlive the server, nor be held by the action itself.
    std::shared_ptr<void> after(double seconds, std::function<void()> action);

    /// Any thread. Accepts no more; requests being answered are, for at most drain_timeout. Connections
    /// between requests, and later the others as they are answered, go to `successor`, a SOCK_SEQPACKET
    /// socket: one packet a connection, its fd (SCM_RIGHTS) and the bytes read of it that belong to the next
    /// request (at most 64 KiB, else the request is answered here with Connection: close). TLS connections
    /// cannot go: the next request on one is answered with Connection: close. Without a successor (-1) all
    /// are closed as they are idle. run() then returns true.
    void drain(Fd successor);
    /// Any thread: takes connections from the other end of such a socket until its end.
    void adopt(Fd predecessor);
    /// Any thread: closes everything at once.
    void stop();

    /// What the supervisor asks for its idle timer: connections with a request in them, and seconds since the
    /// last one ended (since the start if there was none).
    struct Activity {
        std::uint64_t answering;
        std::uint64_t connections;
        double seconds_idle;
        std::uint64_t requests;  // so far
    };
    Activity activity() const;  // any thread
    /// Any thread: calls once, on the loop's, when so many requests have ended since the start. A later call
    /// takes the place of this one.
    void tell_after(std::uint64_t requests, std::function<void()> tell);

    /// In the child of a fork: closes its descriptors without a word to any peer.
    void abandon();

    boost::asio::io_context& context();

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quicken::http
