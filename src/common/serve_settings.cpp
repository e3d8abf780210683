#include "common/serve_settings.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <string_view>
#include <utility>

#include "common/error.hpp"

namespace quicken {

namespace {

/// true: a number of seconds.
constexpr std::pair<std::string_view, bool> k_settings[] = {
    {"max_target", false},      {"max_header", false},     {"max_fields", false},
    {"max_body", false},        {"max_chunk_line", false}, {"spool_size", false},
    {"max_connections", false}, {"max_pending", false},    {"handshake_timeout", true},
    {"header_timeout", true},   {"body_timeout", true},    {"body_min_rate", true},
    {"idle_timeout", true},     {"write_timeout", true},   {"connect_timeout", true},
    {"proxy_timeout", true},    {"drain_timeout", true},   {"require_length", false},
};

}  // namespace

ServeSetting parse_serve_setting(const std::string& text) {
    const std::size_t at = text.find('=');
    const std::string name = text.substr(0, at);
    const auto* known = std::find_if(std::begin(k_settings), std::end(k_settings),
                                     [&](const auto& setting) { return setting.first == name; });
    if (known == std::end(k_settings)) throw Error("there is no setting " + name);
    const std::string value = at == std::string::npos ? "" : text.substr(at + 1);
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !std::isfinite(number) || number < 0)
        throw Error(name + " has to be a number that is not negative");
    if (!known->second && (number != std::floor(number) || number > 1e15))
        throw Error(name + " has to be a whole number");
    return {name, number, !known->second};
}

}  // namespace quicken
