// See connection_exchange.hpp.
#include "http/connection_exchange.hpp"

namespace quicken::http {
namespace {

std::error_code gone() {
    return std::make_error_code(std::errc::connection_reset);
}

}  // namespace

void ConnectionExchange::read_body(std::uint64_t limit,
                                   std::function<std::string(std::uint64_t, std::uint64_t)> too_large,
                                   std::function<void(Body)> done) {
    if (connection_ != nullptr) connection_->read_body(limit, std::move(too_large), std::move(done));
}

void ConnectionExchange::read_some(std::function<void(std::error_code, std::string_view, bool)> done) {
    if (connection_ != nullptr) return connection_->read_some(std::move(done));
    core_->loop().soon([call = std::move(done)] { call(gone(), {}, true); });
}

void ConnectionExchange::respond(Response response) {
    if (connection_ != nullptr) connection_->respond(std::move(response));
}

void ConnectionExchange::begin(Response head) {
    if (connection_ != nullptr) connection_->begin(std::move(head));
}

void ConnectionExchange::write(std::string bytes, std::function<void(std::error_code)> done) {
    if (connection_ != nullptr) return connection_->write(std::move(bytes), std::move(done));
    core_->loop().soon([call = std::move(done)] { call(gone()); });
}

void ConnectionExchange::end(bool broken) {
    if (connection_ != nullptr) connection_->end(broken);
}

std::unique_ptr<Stream> ConnectionExchange::hijack(std::string& buffered) {
    return connection_ != nullptr ? connection_->hijack(buffered) : nullptr;
}

void ConnectionExchange::on_gone(std::function<void()> callback) {
    if (connection_ != nullptr) gone_ = std::move(callback);
}

void ConnectionExchange::on_end(std::function<void()> callback) {
    if (connection_ == nullptr) return;
    if (connection_->input_over()) return core_->loop().soon(std::move(callback));
    ended_ = std::move(callback);
}

void Recycle::operator()(ConnectionExchange* exchange) const {
    std::unique_ptr<ConnectionExchange> owned(exchange);
    const std::shared_ptr<Core> core = exchange->core_;
    if (!core->loop().on_loop()) {
        // Once the server is closed no connection refers to it.
        if (core->closed()) return;
        core->loop().post([again = std::shared_ptr<ConnectionExchange>(
                               owned.release(), Recycle())]() mutable { again.reset(); });
        return;
    }
    if (exchange->connection_ != nullptr) return exchange->connection_->let_go_of(std::move(owned));
    core->keep(std::move(owned));
}

}  // namespace quicken::http
