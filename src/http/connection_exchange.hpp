// What an application holds of a request (exchange.hpp), with the connection
// behind it as long as that is waiting for the answer.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "http/connection.hpp"
#include "http/exchange.hpp"

namespace quicken::http {

class ConnectionExchange final : public Exchange {
 public:
    const Request& request() const override { return request_; }
    bool open() const override { return connection_ != nullptr && connection_->open(); }
    void read_body(std::uint64_t limit, std::function<std::string(std::uint64_t, std::uint64_t)> too_large,
                   std::function<void(Body)> done) override;
    void read_some(std::function<void(std::error_code, std::string_view, bool)> done) override;
    void respond(Response response) override;
    void begin(Response head) override;
    void write(std::string bytes, std::function<void(std::error_code)> done) override;
    void end(bool broken) override;
    std::unique_ptr<Stream> hijack(std::string& buffered) override;
    void on_gone(std::function<void()> callback) override;
    void on_end(std::function<void()> callback) override;

 private:
    friend class Connection;
    friend class Core;
    friend struct Recycle;

    std::shared_ptr<Core> core_;  // none while it is spare
    Connection* connection_ = nullptr;
    std::string head_;  // what the request's views are of
    Request request_;
    std::function<void()> gone_;
    std::function<void()> ended_;
};

/// Brings an exchange that nobody holds any more back to the loop's thread.
struct Recycle {
    void operator()(ConnectionExchange* exchange) const;
};

class ConnectionStream final : public Stream {
 public:
    ConnectionStream(std::shared_ptr<Core> core, Connection& connection)
        : core_(std::move(core)), connection_(&connection) {}
    ~ConnectionStream() override;
    void read(std::function<void(std::error_code, std::string_view)> done) override;
    void write(std::string bytes, std::function<void(std::error_code)> done) override;
    void shut() override;

 private:
    friend class Connection;

    std::shared_ptr<Core> core_;
    Connection* connection_;
};

}  // namespace quicken::http
