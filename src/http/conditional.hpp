// Requests that hold only for one version of a resource (RFC 9110, section 13).
#pragma once

#include <cstdint>
#include <string_view>

#include "http/message.hpp"

namespace quicken::http {

/// If-Match or If-Unmodified-Since does not hold: 412.
bool precondition_failed(const Request& request, std::string_view etag, std::int64_t modified);

/// If-Range is absent, or names this version.
bool range_holds(const Request& request, std::string_view etag, std::int64_t modified);

}  // namespace quicken::http
