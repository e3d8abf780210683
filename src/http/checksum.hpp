// CRC-32 (zlib's) of content that comes in parts, and the ETag it makes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quicken::http {

/// `sum` is 0 before the first part.
std::uint32_t add_to_checksum(std::uint32_t sum, std::string_view content);

/// Lower-case hexadecimal without leading zeros: as etag_of().
std::string etag_of_checksum(std::uint32_t sum);

}  // namespace quicken::http
