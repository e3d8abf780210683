// Paths of requests and what they are written as. normal_path() is in files.hpp.
#pragma once

#include <string>
#include <string_view>

namespace quicken::http {

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3) or "/".
std::string quote_path(std::string_view path);

/// A segment of the normal path begins with ".": never served.
bool has_hidden_segment(std::string_view path);

/// What of the target follows its path: "?x=1", or nothing.
std::string_view query_of(std::string_view target);

}  // namespace quicken::http
