// Two pumps run at the same time, as a back end may answer before it has the
// whole request: the request's body (read_some -> back end) and the answer
// (back end -> Exchange::write). Each has one read or one write under way and
// never both, so that the slower side sets the pace.
//
// Every callback holds the relay; on_gone() and on_end() alone do not, as their exchange
// belongs to us. The end of a relay (finished_) is reached once: by a
// complete answer, an error of either side, a timeout or the client's leaving.
// Callbacks that come later see it and do nothing.
//
// A back end is waited for, and timed, while it has bytes of ours to take, or
// has the whole request. What waits for the client is timed by its connection.
#include "http/proxy_relay.hpp"

#include <fmt/format.h>

#include <chrono>

#include "http/proxy_answer.hpp"
#include "http/proxy_head.hpp"
#include "http/proxy_tunnel.hpp"

namespace quicken::http {

namespace {

// A connection that the back end may be about to close for its idleness: what cannot be sent twice does not
// go there.
constexpr double k_safe_idle = 2;      // seconds
constexpr double k_longest_idle = 30;  // seconds

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" ||
           method == "PUT" || method == "DELETE";
}

class Relay : public std::enable_shared_from_this<Relay> {
 public:
    Relay(Server& server, const Settings& settings, std::shared_ptr<BackEnds> back_ends,
          std::shared_ptr<Exchange> exchange, const Target& target, std::string head)
        : server_(server),
          settings_(settings),
          back_ends_(std::move(back_ends)),
          exchange_(std::move(exchange)),
          target_(target),
          head_(std::move(head)),
          answer_(exchange_->request().method == "HEAD"),
          repeatable_(is_idempotent(exchange_->request().method) && !exchange_->request().has_body()) {}

    void start();

 private:
    void client_ended();
    void connect();
    void connected(std::error_code error);
    void send_head();
    void read_body();
    void body_came(std::error_code error, std::string_view bytes, bool last);
    void send_body(std::string bytes, bool last);

    void read_answer();
    void answer_came(std::error_code error, std::string_view bytes);
    bool skip_interim();
    void head_came();
    Response own_head();
    void pass_on();
    void upgraded();
    void complete();

    void back_end_lost();
    void fail(unsigned status, std::string_view explanation);
    void finish();
    void watch();
    void tick();

    Server& server_;
    const Settings& settings_;
    std::shared_ptr<BackEnds> back_ends_;
    std::shared_ptr<Exchange> exchange_;
    Target target_;
    std::string head_;
    AnswerParser answer_;
    std::shared_ptr<BackEnd> back_end_;
    const bool repeatable_;
    bool reused_ = false;  // the connection had another request before
    bool connecting_ = false;
    bool writing_ = false;     // to the back end
    bool sent_ = false;        // the whole request
    bool unsendable_ = false;  // the back end takes no more of it
    bool reading_ = false;     // from the back end
    bool begun_ = false;       // the answer to the client
    bool finished_ = false;
    double deadline_ = 0;  // seconds; 0: the back end is not waited for
    std::shared_ptr<void> timer_;
};

void Relay::start() {
    exchange_->on_gone([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->finish();
    });
    exchange_->on_end([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->client_ended();
    });
    back_end_ = back_ends_->take(target_.origin, repeatable_ ? k_longest_idle : k_safe_idle);
    if (!back_end_) return connect();
    reused_ = true;
    send_head();
}

/// It may still read, but hardly any that ends does; nobody else would tell the back end to give up. The
/// status is nginx's for the log.
void Relay::client_ended() {
    if (!finished_) fail(499, "The client has gone");
}

void Relay::connect() {
    reused_ = false;
    connecting_ = true;
    watch();
    back_end_ = back_ends_->connect(
        target_.origin, [self = shared_from_this()](std::error_code error) { self->connected(error); });
}

void Relay::connected(std::error_code error) {
    if (finished_) return;
    connecting_ = false;
    if (error) return fail(502, "The back end cannot be reached");
    send_head();
}

void Relay::send_head() {
    writing_ = true;
    back_end_->write(head_, [self = shared_from_this()](std::error_code error) {
        self->writing_ = false;
        if (self->finished_) return;
        self->unsendable_ = static_cast<bool>(error);
        self->sent_ = !self->exchange_->request().has_body();
        self->watch();
        if (!self->sent_ && !error) self->read_body();
    });
    read_answer();
}

void Relay::read_body() {
    exchange_->read_some([self = shared_from_this()](std::error_code error, std::string_view bytes,
                                                     bool last) { self->body_came(error, bytes, last); });
}

void Relay::body_came(std::error_code error, std::string_view bytes, bool last) {
    if (finished_) return;
    // The client has gone, or its connection has answered for us.
    if (error) return finish();
    if (!exchange_->request().chunked) return send_body(std::string(bytes), last);
    std::string chunk;
    if (!bytes.empty()) chunk = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
    if (last) chunk += "0\r\n\r\n";
    send_body(std::move(chunk), last);
}

void Relay::send_body(std::string bytes, bool last) {
    writing_ = true;
    watch();
    back_end_->write(std::move(bytes), [self = shared_from_this(), last](std::error_code error) {
        self->writing_ = false;
        if (self->finished_) return;
        // It may have answered before it closed: that is read yet.
        self->unsendable_ = static_cast<bool>(error);
        self->sent_ = last && !error;
        self->watch();
        if (!last && !error) self->read_body();
    });
}

void Relay::read_answer() {
    reading_ = true;
    watch();
    back_end_->read([self = shared_from_this()](std::error_code error, std::string_view bytes) {
        self->reading_ = false;
        if (!self->finished_) self->answer_came(error, bytes);
    });
}

void Relay::answer_came(std::error_code error, std::string_view bytes) {
    if (error || (bytes.empty() && !answer_.feed_end())) return back_end_lost();
    if (!answer_.feed(bytes) || !skip_interim()) return fail(502, "The back end does not answer in HTTP");
    if (!answer_.has_head()) return read_answer();
    if (answer_.status() == 101) return upgraded();
    if (!begun_) return head_came();
    pass_on();
}

/// 100, 102, 103: another answer follows.
bool Relay::skip_interim() {
    while (answer_.is_done() && answer_.status() < 200 && answer_.status() != 101) {
        answer_.restart();
        if (!answer_.feed({})) return false;
    }
    return true;
}

void Relay::head_came() {
    begun_ = true;
    const unsigned status = answer_.status();
    const bool head_only = exchange_->request().method == "HEAD";
    const auto length = answer_.content_length();
    Response head = own_head();
    const bool has_body = !head_only && status != 204 && status != 304;
    if (answer_.is_done() && !head_only) {  // all in one piece
        if (std::string body = answer_.take_body(); has_body) head.pieces.emplace_back(std::move(body));
        exchange_->respond(std::move(head));
        return complete();
    }
    if (length) head.add("Content-Length", std::to_string(*length));
    exchange_->begin(std::move(head));
    if (!has_body) {
        exchange_->end();
        return complete();
    }
    pass_on();
}

/// A back end that knows itself by its own name may send the client there.
Response Relay::own_head() {
    Response head = answer_.take_head();
    const std::string url = target_.url();
    const std::string_view location = head.field("location");
    if (location.starts_with(url)) {
        head.fields.replace(static_cast<std::size_t>(location.data() - head.fields.data()), url.size(),
                            target_.name);
    }
    return head;
}

void Relay::pass_on() {
    std::string body = answer_.take_body();
    if (!body.empty()) {
        watch();
        exchange_->write(std::move(body), [self = shared_from_this()](std::error_code error) {
            if (self->finished_) return;
            if (error) return self->finish();
            self->pass_on();
        });
        return;
    }
    if (!answer_.is_done()) return read_answer();
    exchange_->end();
    complete();
}

void Relay::upgraded() {
    if (!wants_websocket(exchange_->request())) return fail(502, "The back end changes to another protocol");
    Response head = answer_.take_head();
    head.add("Connection", "upgrade");
    head.add("Upgrade", answer_.upgrade());
    std::string early;
    std::unique_ptr<Stream> client = exchange_->hijack(early);
    if (!client) return finish();
    finished_ = true;
    timer_.reset();
    std::string answer = fmt::format("HTTP/1.1 101 {}\r\n{}\r\n", reason_of(101), head.fields);
    start_tunnel(server_, std::move(client), std::move(back_end_), answer + answer_.take_rest(),
                 std::move(early), settings_.proxy_timeout);
}

/// The answer has been given. The connection serves again if the back end has the whole request.
void Relay::complete() {
    if (!sent_ || !answer_.keeps_alive()) return finish();
    finished_ = true;
    timer_.reset();
    back_ends_->keep(std::move(back_end_));
}

void Relay::back_end_lost() {
    if (reused_ && repeatable_ && !answer_.has_begun()) {
        back_end_->close();
        sent_ = unsendable_ = false;
        return connect();
    }
    fail(502, "The back end closes the connection without an answer");
}

void Relay::fail(unsigned status, std::string_view explanation) {
    if (begun_) {
        exchange_->end(true);
    } else {
        exchange_->respond(error_page(status, {}, explanation));
    }
    finish();
}

void Relay::finish() {
    if (finished_) return;
    finished_ = true;
    timer_.reset();
    if (back_end_) back_end_->close();
}

/// To be called whenever the back end may have begun or ceased to be waited for, or has done something.
void Relay::watch() {
    const bool waits = writing_ || (reading_ && (sent_ || unsendable_));
    if (!connecting_ && !waits) {
        deadline_ = 0;
        return;
    }
    deadline_ = now() + (connecting_ ? settings_.connect_timeout : settings_.proxy_timeout);
    if (!timer_) tick();
}

/// One timer at a time: moving the deadline costs nothing, and the timer looks how far it has got.
void Relay::tick() {
    timer_.reset();
    if (finished_ || deadline_ == 0) return;
    const double left = deadline_ - now();
    if (left <= 0)
        return fail(504, connecting_ ? "The back end cannot be reached in time" : "The back end is slow");
    timer_ = server_.after(left, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->tick();
    });
}

}  // namespace

void start_relay(Server& server, const Settings& settings, std::shared_ptr<BackEnds> back_ends,
                 std::shared_ptr<Exchange> exchange, const Target& target, std::string head) {
    std::make_shared<Relay>(server, settings, std::move(back_ends), std::move(exchange), target,
                            std::move(head))
        ->start();
}

}  // namespace quicken::http
