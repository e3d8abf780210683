// A connection's way out: the head of an answer, its body, and what comes after
// it.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "http/connection.hpp"
#include "http/connection_exchange.hpp"
#include "http/fields.hpp"

namespace quicken::http {
namespace {

void append_number(std::string& text, std::uint64_t number, int base = 10) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
    text.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

/// RFC 9110, 6.4.1 and 15.
bool has_no_body(unsigned status) {
    return status < 200 || status == 204 || status == 304;
}

/// Of an answer in parts, as its fields have it; none if that is no number.
std::optional<std::uint64_t> length_of(const Response& head) {
    const std::string_view text = head.field("Content-Length");
    std::uint64_t length = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), length);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    return whole && length != k_unknown_size ? std::optional(length) : std::nullopt;
}

/// Fit for a status line; RFC 9112, 4.
bool is_reason(std::string_view reason) {
    return !reason.empty() && std::none_of(reason.begin(), reason.end(), [](unsigned char c) {
        return (c < ' ' && c != '\t') || c == 0x7f;
    });
}

}  // namespace

bool Connection::must_close(const Response& response) const {
    const Request& request = exchange_->request_;
    if (response.close || !request.keep_alive || !can_discard()) return true;
    return core_.draining() && (tls() || !core_.has_successor());
}

void Connection::add_length(std::string& head) const {
    if (answer_.chunked) {
        head += "Transfer-Encoding: chunked\r\n";
    } else if (!answer_.streaming && !has_no_body(answer_.status)) {
        head += "Content-Length: ";
        append_number(head, answer_.announced);
        head += "\r\n";
    }
}

void Connection::send_head(Response& response) {
    const FieldSet found = find_fields(response.fields);
    answer_.begun = true;
    answer_.status = response.status;
    answer_.close = must_close(response) || found.close;
    // A length is taken over where it cannot be known here.
    const bool as_given =
        found.length && !has_no_body(response.status) && (answer_.streaming || answer_.bodiless);
    if (found.encoding) erase_field(response.fields, "transfer-encoding:");
    if (found.length && !as_given) erase_field(response.fields, "content-length:");
    // Into the output's own room where that is free: no "100 Continue" waits there.
    const bool direct = output_.empty();
    std::string other;
    std::string& head = direct ? output_.head() : other;
    head += "HTTP/1.1 ";
    append_number(head, response.status);
    head += ' ';
    head += is_reason(response.reason) ? std::string_view(response.reason) : reason_of(response.status);
    head += "\r\n";
    if (!found.server) head.append("Server: ").append(core_.settings().server_version).append("\r\n");
    if (!found.date) head.append("Date: ").append(core_.date()).append("\r\n");
    head += response.fields;
    if (!as_given) add_length(head);
    const bool until_end = answer_.streaming && !answer_.chunked && !as_given && !answer_.bodiless;
    if (until_end) answer_.close = true;
    if (answer_.close && !found.close) {
        head += "Connection: close\r\n";
    } else if (exchange_->request_.minor == 0 && !answer_.close && !found.connection) {
        head += "Connection: keep-alive\r\n";
    }
    head += "\r\n";
    answer_.head_size = head.size();
    if (!direct) output_.add(std::move(other));
}

void Connection::respond(Response response) {
    if (!open()) return;
    answer_.bodiless = exchange_->request_.method == "HEAD" || has_no_body(response.status);
    answer_.announced = response.size();
    send_head(response);
    answer_.ended = true;
    if (!answer_.bodiless) {
        answer_.size = answer_.announced;
        output_.add(std::move(response.pieces));
    }
    flush();
}

void Connection::begin(Response head) {
    if (!open()) return;
    const Request& request = exchange_->request_;
    const std::optional<std::uint64_t> length = length_of(head);
    // Written anew: the client must read one length, and the one that is kept to.
    erase_field(head.fields, "content-length:");
    if (length) head.add("Content-Length", std::to_string(*length));
    answer_.streaming = true;
    answer_.bodiless = request.method == "HEAD" || has_no_body(head.status);
    answer_.announced = length.value_or(k_unknown_size);
    answer_.chunked = !length && !answer_.bodiless && request.minor == 1;
    send_head(head);
    // It goes with the first part; alone if none comes before the loop goes on.
    core_.loop().soon(*this);
}

void Connection::write(std::string bytes, std::function<void(std::error_code)> done) {
    if (phase_ != Phase::answering || !answer_.streaming || answer_.ended || written_) {
        core_.loop().soon([call = std::move(done)] { call(std::make_error_code(std::errc::broken_pipe)); });
        return;
    }
    written_ = std::move(done);
    if (answer_.announced != k_unknown_size && bytes.size() > answer_.announced - answer_.size) {
        bytes.resize(static_cast<std::size_t>(answer_.announced - answer_.size));
        answer_.broken = true;
    }
    answer_.size += bytes.size();
    if (!answer_.bodiless && !bytes.empty()) {
        if (answer_.chunked) {
            std::string line;
            append_number(line, bytes.size(), 16);
            line += "\r\n";
            output_.add(std::move(line));
            bytes += "\r\n";
        }
        output_.add(std::move(bytes));
    }
    flush();
}

void Connection::end(bool broken) {
    if (phase_ != Phase::answering || !answer_.streaming || answer_.ended) return;
    const bool whole =
        answer_.bodiless || answer_.announced == k_unknown_size || answer_.announced == answer_.size;
    answer_.broken = answer_.broken || broken || !whole;
    answer_.ended = true;
    if (answer_.chunked && !answer_.broken) output_.add(std::string("0\r\n\r\n"));
    flush();
}

void Connection::flush() {
    bool progress = false;
    const Io io = output_.flush(transport_, core_.block(), progress);
    if (io == Io::done) {
        write_deadline_ = k_never;
        return flushed();
    }
    if (io == Io::failed) return cut();
    if (progress || write_deadline_ == k_never) {
        set_write_deadline(core_.settings().write_timeout);
        unsent_ = transport_.unsent();
    }
    wait_to_write(io);
}

void Connection::flushed() {
    if (written_) {
        core_.loop().soon([done = std::exchange(written_, nullptr)] { done({}); });
    }
    if (!answer_.ended) return;
    if (phase_ == Phase::tunnel) return transport_.shut();
    if (phase_ == Phase::answering) complete();
}

void Connection::report() {
    if (exchange_ == nullptr) return;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - head_at_;
    const std::uint64_t left = answer_.bodiless ? 0 : output_.left();
    const std::uint64_t size = answer_.bodiless || left >= answer_.size ? 0 : answer_.size - left;
    core_.application().answered(exchange_->request_, answer_.status, size, seconds.count());
}

void Connection::detach() {
    if (exchange_ == nullptr) return;
    ConnectionExchange& exchange = *std::exchange(exchange_, nullptr);
    exchange.connection_ = nullptr;
    // They may hold the exchange itself.
    const std::function<void()> dropped = std::exchange(exchange.gone_, nullptr);
    const std::function<void()> dropped_too = std::exchange(exchange.ended_, nullptr);
    Core::Counts& counts = core_.counts();
    Core::increase(counts.answering, ~std::uint64_t{0});
    counts.last.store(Core::now(), std::memory_order_relaxed);
    core_.tell_if_due();
    if (orphan_) core_.keep(std::move(orphan_));
}

void Connection::complete() {
    report();
    detach();
    reading_failed(std::make_error_code(std::errc::operation_canceled));
    if (answer_.broken) return close();
    if (answer_.close) {
        // Input that nobody reads would make the kernel drop what it has not sent yet.
        if (answer_.linger || !body_ended_ || !unused().empty() || has_input()) return linger();
        return take_leave();
    }
    body_bytes_ = 0;
    phase_ = body_ended_ ? Phase::head : Phase::discarding;
    const Settings& settings = core_.settings();
    set_read_deadline(body_ended_ ? settings.idle_timeout : settings.body_timeout);
    core_.loop().soon(*this);
}

void Connection::let_go_of(std::unique_ptr<ConnectionExchange> exchange) {
    orphan_ = std::move(exchange);
    if (phase_ != Phase::answering) return;
    if (!answer_.begun) {
        fail(500, {});
    } else if (answer_.streaming) {
        end(true);
    }
}

}  // namespace quicken::http
