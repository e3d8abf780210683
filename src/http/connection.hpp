// One connection: its requests, one after the other.
//
// Phases: handshake (TLS only) -> head -> answering -> head … Out of answering
// also: discarding (the answer is sent, the rest of the request's body is
// still to come) -> head; lingering (ours is said, the peer may still send) ->
// closed; tunnel (taken over from HTTP) -> closed.
//
// A connection belongs to itself: close() takes it out of all lists at once and
// deletes it when nothing is on the stack any more. Calls to the application
// that may take long are the last thing that is done before the return to the
// loop (loop.hpp): what comes next is in run_soon().
#pragma once

#include <openssl/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "http/body.hpp"
#include "http/core.hpp"
#include "http/output.hpp"
#include "http/parser.hpp"
#include "http/transport.hpp"
#include "http/watch.hpp"

namespace quicken::http {

class ConnectionStream;

inline constexpr std::uint64_t k_unknown_size = ~std::uint64_t{0};

class Connection final : public Watch::Owner, public Task {
 public:
    /// Throws Error.
    Connection(Core& core, Fd socket, SSL_CTX* tls);
    ~Connection();

    void start(std::string read_already);
    /// Answers 503 and closes.
    void turn_away();

    // Of its exchange.
    bool open() const { return phase_ == Phase::answering && !answer_.begun; }
    void read_body(std::uint64_t limit, std::function<std::string(std::uint64_t, std::uint64_t)> too_large,
                   std::function<void(Body)> done);
    void read_some(std::function<void(std::error_code, std::string_view, bool)> done);
    void respond(Response response);
    void begin(Response head);
    void write(std::string bytes, std::function<void(std::error_code)> done);
    void end(bool broken);
    bool input_over() const { return input_over_; }
    std::unique_ptr<Stream> hijack(std::string& buffered);
    /// Nobody holds it any more.
    void let_go_of(std::unique_ptr<ConnectionExchange> exchange);

    // Of its stream.
    void stream_read(std::function<void(std::error_code, std::string_view)> done);
    void stream_write(std::string bytes, std::function<void(std::error_code)> done);
    void stream_shut();
    void stream_end();

    // Of the core.
    bool between_requests() const { return phase_ == Phase::head; }
    bool in_handshake() const { return phase_ == Phase::handshake; }
    bool tls() const { return transport_.tls(); }
    int socket() const { return transport_.socket(); }
    std::string_view unused() const { return std::string_view(input_).substr(used_); }
    /// A request, or part of one, may be there that has not been read.
    bool has_input() const { return transport_.has_input(); }
    /// Closes between two requests: TLS says so.
    void take_leave();
    /// Looks at its deadlines; returns the nearer one that is still to come.
    Ticks check(Ticks now);
    /// The peer has gone, or is to be left: every callback that waits is told.
    void cut();
    /// `handed_over`: another process has it, and its peer is told nothing.
    void close(bool handed_over = false);
    /// After a fork: closes the descriptor, and nothing else.
    void abandon() { const Fd socket = transport_.release(); }

 private:
    friend class Core;

    enum class Phase : std::uint8_t { handshake, head, answering, discarding, lingering, tunnel, closed };

    struct Answer {
        bool begun = false;
        bool ended = false;  // nothing is added to the output any more
        bool streaming = false;
        bool chunked = false;
        bool bodiless = false;  // HEAD, 204, 304
        bool close = false;
        bool broken = false;
        bool linger = false;
        unsigned status = 0;
        std::uint64_t head_size = 0;
        std::uint64_t size = 0;       // bytes of body given to it
        std::uint64_t announced = 0;  // by Content-Length, where !chunked
    };

    /// Who reads the body of the request.
    struct Reader {
        std::uint64_t limit = 0;
        std::function<std::string(std::uint64_t, std::uint64_t)> too_large;
        std::function<void(Body)> whole;
        std::function<void(std::error_code, std::string_view, bool)> some;
        std::optional<BodyCollector> collector;
    };

    // connection.cpp: readiness, phases, the end.
    void on_readable() override;
    void on_writable() override;
    void run_soon() override;
    void shake_hands();
    Io fill();
    void want_read();
    void wait_to_read(Io what);
    void wait_to_write(Io what);
    void consume(std::size_t size);
    void next_request();
    void linger();
    void drop_input();
    void tunnel_input();
    void fail_callbacks(std::error_code error);
    void set_read_deadline(double seconds);
    void set_write_deadline(double seconds);
    bool still_takes();

    // request.cpp: heads, bodies.
    void process_head();
    void refuse_head(const Refusal& refusal, ConnectionExchange& exchange);
    void attach(ConnectionExchange& exchange);
    void start_request(std::shared_ptr<ConnectionExchange> exchange);
    Chunks::Found next_part(std::string_view& part);
    void start_reading(std::unique_ptr<Reader> reader);
    void pump_body();
    void fail_to_store(int error);
    bool collect(std::string_view part);
    void finish_collecting();
    void refuse_size(std::uint64_t size);
    void deliver_some(std::string_view part, bool last);
    void wait_for_body();
    void body_came(std::size_t size);
    void input_ended();
    void fail(unsigned status, std::string_view message);
    void discard_body();
    bool can_discard() const;
    void reading_failed(std::error_code error);

    // answer.cpp: what is sent.
    void send_head(Response& response);
    bool must_close(const Response& response) const;
    void add_length(std::string& head) const;
    void flush();
    void flushed();
    void complete();
    void report();
    void detach();

    Core& core_;
    Transport transport_;
    std::unique_ptr<Watch> watch_;
    Phase phase_ = Phase::head;
    bool input_over_ = false;  // the peer has sent its end
    bool readable_ = false;    // on_readable() is to be called, whatever the socket says
    bool head_begun_ = false;  // scan_ is about what input_ begins with
    bool head_timed_ = false;
    bool read_when_writable_ = false;  // TLS wants it so
    bool write_when_readable_ = false;
    bool lingers_ = false;  // the core counts it so
    bool body_ended_ = true;
    bool continue_expected_ = false;

    std::string input_;  // what was read
    std::size_t used_ = 0;
    HeadScan scan_;
    Output output_;
    Answer answer_;

    ConnectionExchange* exchange_ = nullptr;  // null once it is answered
    std::unique_ptr<Chunks> chunks_;
    std::uint64_t body_left_ =
        0;  // bytes of Content-Length still to come; of a tunnel, or lingering: dropped
    std::unique_ptr<Reader> reader_;
    std::uint64_t body_bytes_ = 0;
    Ticks body_waited_ = 0;  // milliseconds
    Ticks waiting_since_ = 0;
    std::function<void(std::error_code)> written_;

    ConnectionStream* stream_ = nullptr;
    std::unique_ptr<ConnectionExchange> orphan_;  // exchange_, if nobody else holds it
    std::function<void(std::error_code, std::string_view)> stream_read_;

    Ticks read_deadline_ = k_never;
    Ticks write_deadline_ = k_never;
    int unsent_ = 0;  // Transport::unsent() when that was set
    std::chrono::steady_clock::time_point head_at_;

    std::string peer_address_;
    std::uint16_t peer_port_ = 0;
    Connection* before_ = nullptr;  // in the core's list
    Connection* after_ = nullptr;
};

}  // namespace quicken::http
