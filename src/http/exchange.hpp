// One request and its answer, as the connection offers it to whoever answers.
//
// All of it is called on the loop's thread (Loop, server.hpp), but what says
// otherwise. Whoever holds the shared pointer may answer later; if all let go
// of it without an answer, the connection answers 500. Once the client has
// gone every call is accepted and does nothing, and callbacks of reads and
// writes are called once with an error: an exchange is never left waiting.
//
// Exactly one answer: respond(), or begin() … end(), or hijack(). A second one
// is ignored. An error that the connection itself answers (413, 408, 400 in a
// chunk) counts as that answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "http/message.hpp"

namespace quicken::http {

/// A connection that has been taken over from HTTP: bytes both ways, plain or TLS. Same thread rules; closed
/// by its end.
class Stream {
 public:
    virtual ~Stream() = default;
    /// At most one read and one write at a time. `bytes` is valid during the call; empty with no error: the
    /// peer has sent its end.
    virtual void read(std::function<void(std::error_code, std::string_view bytes)> done) = 0;
    /// Takes the bytes; calls when they are in the kernel.
    virtual void write(std::string bytes, std::function<void(std::error_code)> done) = 0;
    /// Says the end of what is written; reads go on.
    virtual void shut() = 0;
};

class Exchange {
 public:
    virtual ~Exchange() = default;

    virtual const Request& request() const = 0;
    /// The client has not gone, and there is no answer yet.
    virtual bool open() const = 0;

    /// Reads the body, sending 100 Continue before if that is expected. At most one of both, once. A body of
    /// more than `limit` bytes (as announced, or as it comes) is answered 413 with the text that `too_large`
    /// makes of both sizes (empty: the standard's), one that does not come 408: then `done` is not called.
    /// After `done` its caller touches nothing of the connection, as after Application::handle().
    virtual void read_body(std::uint64_t limit,
                           std::function<std::string(std::uint64_t size, std::uint64_t limit)> too_large,
                           std::function<void(Body)> done) = 0;
    /// Reads what has come of the body, decoded. `bytes` is valid during the call; `last`: nothing follows
    /// (`bytes` may be empty then). Call it again for more: so the reader sets the pace.
    virtual void read_some(std::function<void(std::error_code, std::string_view bytes, bool last)> done) = 0;

    /// The whole answer. A body of the request that was not read is read and thrown away, or the connection
    /// closed where that is more than 64 KiB.
    virtual void respond(Response response) = 0;

    /// An answer in parts: `head`'s pieces are ignored. With a Content-Length in its fields the parts are to
    /// be as long together; without, they are chunked (HTTP/1.1) or ended by the connection's end (1.0).
    virtual void begin(Response head) = 0;
    /// Takes the bytes; calls when the kernel has them. One at a time.
    virtual void write(std::string bytes, std::function<void(std::error_code)> done) = 0;
    /// Ends it. If fewer bytes than announced were written, or `broken`, the connection is cut, so that the
    /// client sees it.
    virtual void end(bool broken = false) = 0;

    /// The connection without HTTP, and what has been read of it and not used. The answer is up to the caller
    /// (Upgrade, or bytes of a script that writes its own). nullptr if the client has gone.
    virtual std::unique_ptr<Stream> hijack(std::string& buffered) = 0;

    /// Called once when the client goes before the answer is complete. On the loop's thread.
    virtual void on_gone(std::function<void()> callback) = 0;
    /// Called once when the client has said its end before the answer is complete. Most have gone then, and
    /// on_gone() cannot know before something is written; but one may still read. For an answer that is long
    /// in coming and costs another something.
    virtual void on_end(std::function<void()> callback) { static_cast<void>(callback); }
};

/// Who answers.
class Application {
 public:
    virtual ~Application() = default;
    /// A request's head has come. On the loop's thread, which this must not hold up, and nothing of the
    /// connection is touched by its caller after it: in the meantime the loop may belong to another thread.
    virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
    /// The engine answers by itself, as a request or its body cannot be taken: adds what every answer has.
    /// `request` may be without method and target.
    virtual void complete(const Request& /*request*/, Response& /*page*/) {}
    /// An answer is complete or cut short: for the log. `size` is bytes of body sent, `seconds` since the
    /// head had come. `request` may be without method and target if there was none to understand.
    virtual void answered(const Request& request, unsigned status, std::uint64_t size, double seconds) = 0;
    /// What this machine fails in, for the log: a line without an end.
    virtual void failed(const std::string& /*line*/) {}
};

}  // namespace quicken::http
