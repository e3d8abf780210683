// A connection's way in: the head of a request, and its body.
#include <strings.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/error.hpp"
#include "http/connection.hpp"
#include "http/connection_exchange.hpp"

namespace quicken::http {
namespace {

/// Bytes of a body that nobody has read, before the next request.
constexpr std::uint64_t k_discarded = 64 << 10;

bool is_continue(std::string_view expectation) {
    constexpr std::string_view k_continue = "100-continue";
    return expectation.size() == k_continue.size() &&
           strncasecmp(expectation.data(), k_continue.data(), k_continue.size()) == 0;
}

bool lacks_length(const Request& request) {
    return (request.method == "POST" || request.method == "PUT") && !request.content_length &&
           !request.chunked;
}

}  // namespace

void Connection::process_head() {
    // Empty lines before a request are ignored: RFC 9112, 2.2.
    while (unused().substr(0, 2) == "\r\n") consume(2);
    const std::string_view input = unused();
    if (input.empty()) return input_over_ ? close() : want_read();
    if (!std::exchange(head_begun_, true)) scan_.reset();
    Refusal refusal = scan_.scan(input, core_.settings());
    if (!refusal && scan_.size() == 0) {
        if (!input_over_) {
            if (!std::exchange(head_timed_, true)) set_read_deadline(core_.settings().header_timeout);
            return want_read();
        }
        refusal = {400, "Incomplete request"};
    }
    std::shared_ptr<ConnectionExchange> exchange = core_.make_exchange(*this);
    if (refusal) return refuse_head(refusal, *exchange);
    exchange->head_.assign(input.substr(0, scan_.size()));
    consume(scan_.size());
    refusal = parse_head(exchange->head_, core_.settings(), exchange->request_);
    if (!refusal && core_.settings().require_length != 0 && lacks_length(exchange->request_)) {
        refusal = {411, {}};
    }
    if (refusal) return refuse_head(refusal, *exchange);
    start_request(std::move(exchange));
}

void Connection::attach(ConnectionExchange& exchange) {
    exchange_ = &exchange;
    exchange.connection_ = this;
    exchange.request_.tls = tls();
    exchange.request_.peer_address = peer_address_;
    exchange.request_.peer_port = peer_port_;
    phase_ = Phase::answering;
    answer_ = Answer();
    head_begun_ = head_timed_ = false;
    read_deadline_ = k_never;
    head_at_ = std::chrono::steady_clock::now();
    body_ended_ = true;
    continue_expected_ = false;
    Core::Counts& counts = core_.counts();
    Core::increase(counts.answering, 1);
    Core::increase(counts.requests, 1);
}

void Connection::refuse_head(const Refusal& refusal, ConnectionExchange& exchange) {
    attach(exchange);
    exchange.request_.keep_alive = false;
    fail(refusal.status, refusal.message);
}

void Connection::start_request(std::shared_ptr<ConnectionExchange> exchange) {
    attach(*exchange);
    const Request& request = exchange->request_;
    if (request.has_body()) {
        body_ended_ = false;
        body_left_ = request.content_length.value_or(0);
        body_bytes_ = 0;
        body_waited_ = 0;
        if (request.chunked) chunks_ = std::make_unique<Chunks>(core_.settings());
        const std::string_view expect = request.field("Expect");
        continue_expected_ = !expect.empty() && request.minor == 1;
        if (continue_expected_ && !is_continue(expect)) return fail(417, {});
    }
    core_.loop().soon(*this);
    core_.application().handle(std::move(exchange));
}

Chunks::Found Connection::next_part(std::string_view& part) {
    using Found = Chunks::Found;
    if (body_ended_) return Found::end;
    if (!chunks_) {
        part = unused().substr(
            0, static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, unused().size())));
        if (part.empty()) return Found::more;
        consume(part.size());
        body_left_ -= part.size();
        body_ended_ = body_left_ == 0;
        return Found::part;
    }
    std::size_t size = 0;
    const Found found = chunks_->next(unused(), size, part);
    consume(size);
    if (found == Found::end) {
        body_ended_ = true;
        chunks_.reset();
    }
    return found;
}

void Connection::read_body(std::uint64_t limit,
                           std::function<std::string(std::uint64_t, std::uint64_t)> too_large,
                           std::function<void(Body)> done) {
    if (!open() || reader_) return;
    auto reader = std::make_unique<Reader>();
    reader->limit = limit;
    reader->too_large = std::move(too_large);
    reader->whole = std::move(done);
    reader->collector.emplace(core_.settings().spool_size);
    start_reading(std::move(reader));
    const std::uint64_t announced = exchange_->request_.content_length.value_or(0);
    if (announced > limit) refuse_size(announced);
}

void Connection::read_some(std::function<void(std::error_code, std::string_view, bool)> done) {
    if (phase_ != Phase::answering || reader_) {
        core_.loop().soon(
            [call = std::move(done)] { call(std::make_error_code(std::errc::broken_pipe), {}, true); });
        return;
    }
    auto reader = std::make_unique<Reader>();
    reader->some = std::move(done);
    start_reading(std::move(reader));
}

void Connection::start_reading(std::unique_ptr<Reader> reader) {
    reader_ = std::move(reader);
    core_.loop().soon(*this);
}

void Connection::refuse_size(std::uint64_t size) {
    const std::string text = reader_->too_large ? reader_->too_large(size, reader_->limit) : std::string();
    fail(413, text);
}

void Connection::pump_body() {
    using Found = Chunks::Found;
    for (;;) {
        std::string_view part;
        const Found found = next_part(part);
        if (found == Found::bad) return fail(400, "Bad chunked body");
        if (found == Found::more) return input_over_ ? fail(400, "Incomplete body") : wait_for_body();
        if (!reader_->whole) return deliver_some(part, body_ended_);
        if (found == Found::end) return finish_collecting();
        if (!collect(part)) return;
    }
}

bool Connection::collect(std::string_view part) {
    const std::uint64_t size = reader_->collector->size() + part.size();
    if (size > reader_->limit) {
        refuse_size(size);
        return false;
    }
    if (reader_->collector->add(part)) return true;
    fail_to_store(errno);
    return false;
}

void Connection::fail_to_store(int error) {
    core_.application().failed("a body could not be stored: " + errno_text(error));
    fail(500, "The body could not be stored");
}

void Connection::finish_collecting() {
    std::optional<Body> body = reader_->collector->finish();
    if (!body) return fail_to_store(errno);
    const std::function<void(Body)> done = std::move(reader_->whole);
    reader_.reset();
    done(std::move(*body));
}

void Connection::deliver_some(std::string_view part, bool last) {
    const auto done = std::move(reader_->some);
    reader_.reset();
    done({}, part, last);
}

void Connection::wait_for_body() {
    if (std::exchange(continue_expected_, false) && !answer_.begun) {
        output_.add(std::string("HTTP/1.1 100 Continue\r\n\r\n"));
        flush();
        if (phase_ != Phase::answering) return;
    }
    waiting_since_ = Core::now();
    set_read_deadline(core_.settings().body_timeout);
    want_read();
}

void Connection::body_came(std::size_t size) {
    const Settings& settings = core_.settings();
    if (waiting_since_ != 0) body_waited_ += Core::now() - std::exchange(waiting_since_, 0);
    body_bytes_ += size;
    read_deadline_ = k_never;
    const double seconds = static_cast<double>(body_waited_) / 1000;
    if (seconds > settings.body_timeout &&
        static_cast<double>(body_bytes_) < seconds * settings.body_min_rate) {
        fail(408, {});
    }
}

void Connection::reading_failed(std::error_code error) {
    const std::unique_ptr<Reader> reader = std::move(reader_);
    if (reader && reader->some) {
        core_.loop().soon([done = std::move(reader->some), error] { done(error, {}, true); });
    }
}

void Connection::fail(unsigned status, std::string_view message) {
    if (answer_.begun) return cut();
    Response page = error_page(status, message);
    if (status == 503) page.add("Retry-After", "1");
    page.close = true;
    if (open()) core_.application().complete(exchange_->request_, page);
    answer_.linger = true;
    // What is called back may be the only one that holds the exchange: it goes after the answer.
    const std::unique_ptr<Reader> reader = std::move(reader_);
    respond(std::move(page));
    if (reader && reader->some) {
        core_.loop().soon([done = std::move(reader->some)] {
            done(std::make_error_code(std::errc::bad_message), {}, true);
        });
    }
}

bool Connection::can_discard() const {
    return body_ended_ || (!continue_expected_ && body_left_ <= k_discarded);
}

void Connection::discard_body() {
    using Found = Chunks::Found;
    for (;;) {
        std::string_view part;
        const Found found = next_part(part);
        if (found == Found::end) {
            phase_ = Phase::head;
            set_read_deadline(core_.settings().idle_timeout);
            return next_request();
        }
        if (found == Found::more && !input_over_) return want_read();
        body_bytes_ += part.size();
        if (found == Found::part && body_bytes_ <= k_discarded) continue;
        return found == Found::part ? linger() : close();
    }
}

}  // namespace quicken::http
