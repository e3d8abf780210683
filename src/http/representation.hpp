// What is done to every answer with content, a file or a script's: ETag,
// conditional requests, compression, cross-origin fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.hpp"

namespace quicken::http {

struct Policy {
    double max_age = 0;         // seconds, in Cache-Control
    bool cross_origin = false;  // the fields of quick_server(3)'s cross_origin on each answer
    bool compress = true;       // gzip where the client takes it and it pays: text, 1400 bytes and more
};

/// CRC-32 of the content, in lower-case hexadecimal without leading zeros or quotes: "4a17b156".
std::string etag_of(std::string_view content);

/// Whether an answer with this ETag (and, with none given in the request, this Last-Modified) is 304.
/// If-None-Match is compared exactly as quick_server does, and as RFC 9110 has it (lists, quotes, W/, *).
bool is_not_modified(const Request& request, std::string_view etag, std::optional<std::int64_t> modified);

/// Makes a handler's 200 complete for GET and HEAD: ETag, 304, Cache-Control, gzip, Vary.
void represent(const Request& request, Response& response, const Policy& policy);

/// "max-age=N": whole seconds, not below 0.
std::string cache_control(double max_age);

/// Access-Control-* if policy.cross_origin, and a handler has not said itself who may read it.
void add_cross_origin(const Request& request, Response& response, const Policy& policy);

/// RFC 9110's date of seconds since the epoch, and back.
std::string http_date(std::int64_t seconds);
std::optional<std::int64_t> parse_http_date(std::string_view text);

/// RFC 1952 in one piece; level 1 to 9.
std::string gzip(std::string_view content, int level);

}  // namespace quicken::http
