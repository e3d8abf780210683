// One version of a file, as the answer to one request: whole, a part of it, or
// that it has not changed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/message.hpp"
#include "http/representation.hpp"

namespace quicken::http {

struct Version {
    std::string_view fields;  // lines of the whole answer
    std::string_view etag;    // empty: not known
    std::int64_t modified;    // seconds since the epoch
    std::uint64_t size;       // bytes
    bool varies;              // with Accept-Encoding
    Piece content;
    std::shared_ptr<const std::string> packed;  // gzip, if it is to be had
};

/// The request takes the compressed form if there is one: it asks for no part, for parts are of the plain
/// one.
bool wants_packed(const Request& request);

/// The whole answer, preconditions and ranges heeded (RFC 9110, section 13.2.2: in that order).
Response answer_of(const Request& request, const Version& version, const Policy& policy);

}  // namespace quicken::http
