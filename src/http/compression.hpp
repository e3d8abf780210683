// When an answer is compressed.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/message.hpp"

namespace quicken::http {

// Less fits in one packet anyway.
inline constexpr std::uint64_t k_compress_least = 1400;  // bytes

/// Of this type and size it pays, for clients that take it: the answer varies with Accept-Encoding.
bool pays_to_compress(std::string_view type, std::uint64_t size);

/// The client takes gzip: named, or by "*", and not with q=0.
bool takes_gzip(const Request& request);

}  // namespace quicken::http
