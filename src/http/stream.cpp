// A connection after its take-over from HTTP: bytes both ways, no limit of time
// but for what the peer does not take.
#include <utility>

#include "http/connection.hpp"
#include "http/connection_exchange.hpp"

namespace quicken::http {

std::unique_ptr<Stream> Connection::hijack(std::string& buffered) {
    if (!open()) return nullptr;
    phase_ = Phase::tunnel;
    reading_failed(std::make_error_code(std::errc::operation_canceled));
    exchange_->gone_ = nullptr;
    exchange_->ended_ = nullptr;
    answer_.begun = true;
    answer_.status = 101;
    read_deadline_ = k_never;
    buffered.assign(unused());
    input_ = std::string();
    used_ = 0;
    auto stream = std::make_unique<ConnectionStream>(core_.shared_from_this(), *this);
    stream_ = stream.get();
    return stream;
}

void Connection::stream_read(std::function<void(std::error_code, std::string_view)> done) {
    stream_read_ = std::move(done);
    readable_ = true;
    core_.loop().soon(*this);
}

void Connection::tunnel_input() {
    if (!stream_read_) return;
    const Transfer transfer = transport_.read({core_.read_buffer(), Core::k_read_size});
    if (transfer.io == Io::read_first || transfer.io == Io::write_first) return wait_to_read(transfer.io);
    if (transfer.io == Io::failed) return cut();
    const auto done = std::exchange(stream_read_, nullptr);
    done({}, {core_.read_buffer(), transfer.size});
}

void Connection::stream_write(std::string bytes, std::function<void(std::error_code)> done) {
    if (written_ || answer_.ended) {
        core_.loop().soon([call = std::move(done)] { call(std::make_error_code(std::errc::broken_pipe)); });
        return;
    }
    answer_.size += bytes.size();
    output_.add(std::move(bytes));
    written_ = std::move(done);
    flush();
}

void Connection::stream_shut() {
    answer_.ended = true;
    if (output_.empty()) transport_.shut();
}

void Connection::stream_end() {
    stream_ = nullptr;
    if (phase_ != Phase::tunnel) return;
    report();
    detach();
    if (tls()) transport_.shut();
    close();
}

ConnectionStream::~ConnectionStream() {
    if (connection_ != nullptr) connection_->stream_end();
}

void ConnectionStream::read(std::function<void(std::error_code, std::string_view)> done) {
    if (connection_ != nullptr) return connection_->stream_read(std::move(done));
    core_->loop().soon(
        [call = std::move(done)] { call(std::make_error_code(std::errc::connection_reset), {}); });
}

void ConnectionStream::write(std::string bytes, std::function<void(std::error_code)> done) {
    if (connection_ != nullptr) return connection_->stream_write(std::move(bytes), std::move(done));
    core_->loop().soon([call = std::move(done)] { call(std::make_error_code(std::errc::connection_reset)); });
}

void ConnectionStream::shut() {
    if (connection_ != nullptr) connection_->stream_shut();
}

}  // namespace quicken::http
