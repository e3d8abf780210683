// How quickenctl shows what a server says of itself.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ctl/server.hpp"

namespace quicken::ctl {

/// "status": "up" and all properties in snake_case; since in seconds.
nlohmann::ordered_json to_json(const Properties& properties);

/// Prints one JSON value and a newline; what is not UTF-8 becomes U+FFFD.
void print(const nlohmann::ordered_json& value);

/// A line of what is known of one thing; nothing if the value is empty.
void row(std::string_view label, std::string_view value);

/// "TEXT (MORE)", or TEXT.
std::string join(const std::string& text, const std::string& more);

/// Local time; `microseconds` since 1970.
std::string moment(std::uint64_t microseconds);

/// "12.3 MB"
std::string megabytes(std::uint64_t bytes);

/// What the server serves, as describe() puts it.
std::string subject_of(const Properties& properties);

}  // namespace quicken::ctl
