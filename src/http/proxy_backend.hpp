// Connections to back ends: made without holding up the loop, kept for the next
// request while they are idle.
//
// All on the loop's thread. A name is resolved by a thread of Asio's; its
// answer comes back through the loop.
//
// A fork of this process has copies of these sockets. Their ends are said by
// shutdown(2), which counts for all copies, and exec closes them: a child
// needs to do nothing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "http/exchange.hpp"
#include "http/server.hpp"

namespace quicken::http {

struct Origin {
    bool tls = false;
    std::string host;  // name or address, without brackets
    std::string port;
    std::string authority;  // as Host has it

    std::string key() const { return (tls ? "s" : "") + authority + " " + port; }
};

/// What becomes of reads and writes that are under way at close(): they are called with an error.
class BackEnd : public Stream {
 public:
    virtual void close() = 0;
    /// Nothing has come, and the other side has not ended: for one that is idle.
    virtual bool is_quiet() = 0;
    virtual const Origin& origin() const = 0;
};

class BackEnds {
 public:
    explicit BackEnds(Server& server);
    ~BackEnds();
    BackEnds(const BackEnds&) = delete;
    BackEnds& operator=(const BackEnds&) = delete;

    /// `done` is called once, later, also after close() of what is returned. With TLS the certificate is
    /// checked: by the system's store (or SSL_CERT_FILE, SSL_CERT_DIR), and for the origin's name.
    std::shared_ptr<BackEnd> connect(const Origin& origin, std::function<void(std::error_code)> done);

    /// One that has been idle for less than `seconds`, or nullptr.
    std::shared_ptr<BackEnd> take(const Origin& origin, double seconds);
    /// Its answer was complete: it may have another request. Closed if there are enough.
    void keep(std::shared_ptr<BackEnd> back_end);

 private:
    struct Idle {
        std::shared_ptr<BackEnd> back_end;
        double since;  // seconds
    };
    class Tls;
    void sweep();

    Server& server_;
    std::unique_ptr<Tls> tls_;
    std::map<std::string, std::vector<Idle>> idle_;
    std::shared_ptr<void> sweeper_;
};

}  // namespace quicken::http
