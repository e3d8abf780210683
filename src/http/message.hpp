// A request as it has come, an answer as it is to go: what the connection, the
// files, the proxy and the handlers of a script say to each other.
//
// Nothing here knows the network, Python or Boost.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/fd.hpp"

namespace quicken::http {

/// One header line, as it was sent but for blanks around the value.
struct Field {
    std::string_view name;
    std::string_view value;
};

/// A request's head, checked: one Host for HTTP/1.1, one way to tell the body's length, no control character
/// in a value. Views are valid as long as the request is; it belongs to its exchange.
struct Request {
    std::string_view method;  // as sent, e.g. "GET"
    std::string_view target;  // as sent, e.g. "/a%20b?x=1"; begins with '/', or is "*" (OPTIONS); of an
                              // absolute URI what follows the authority
    unsigned minor = 1;       // of HTTP/1.x: 0 or 1
    std::vector<Field> fields;
    std::optional<std::uint64_t>
        content_length;  // bytes, as the client says; none if chunked or without a body
    bool chunked = false;
    bool keep_alive = true;  // what the client wants
    bool upgrade = false;    // Connection: upgrade was sent
    bool tls = false;
    std::string peer_address;     // numeric; empty for a Unix socket
    std::uint16_t peer_port = 0;  // 0 for a Unix socket

    bool has_body() const { return chunked || content_length.value_or(0) > 0; }
    /// Value of the first field of that name (any case), or "".
    std::string_view field(std::string_view name) const;
    bool has(std::string_view name) const;
    /// The request line without its line end.
    std::string line() const;
};

/// A whole body, decoded from chunks. Past Settings::spool_size it is in a file without a name, positioned at
/// its start; then `bytes` is empty.
struct Body {
    std::string bytes;
    Fd file;
    std::uint64_t size = 0;  // bytes, in either case
};

/// A part of an open file, sent by sendfile(2). The file stays open as long as an answer has it.
struct FileSlice {
    std::shared_ptr<const Fd> file;
    std::uint64_t offset = 0;  // bytes
    std::uint64_t size = 0;    // bytes
};

/// One piece of a body. A shared string is not copied.
using Piece = std::variant<std::string, std::shared_ptr<const std::string>, FileSlice>;

std::uint64_t size_of(const Piece& piece);

/// A whole answer. The connection adds Date, Server, Content-Length (where the status allows one) and
/// Connection, and leaves the body out for HEAD, 204 and 304; then Content-Length is still the body's, but
/// for 204 and 304.
struct Response {
    unsigned status = 200;
    std::string reason;         // empty: the standard's
    std::string fields;         // lines "Name: value\r\n"; checked by add()
    std::vector<Piece> pieces;  // the body
    bool close = false;         // the connection ends with it

    /// Appends a line. A CR, LF or NUL in either becomes a blank, so that no value can begin another line.
    void add(std::string_view name, std::string_view value);
    /// Any case; empty if there is none.
    std::string_view field(std::string_view name) const;
    std::uint64_t size() const;
};

/// "Not Found" for 404; "Unknown" for what has no name.
std::string_view reason_of(unsigned status);

/// The page that Python's http.server has for an error, UTF-8, with no "--" in what is inserted. `message`
/// empty: reason_of(status). Status and text/html are set; Cache-Control: no-store.
Response error_page(unsigned status, std::string_view message = {}, std::string_view explanation = {});

}  // namespace quicken::http
