// Parts of a representation (RFC 9110, section 14).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "http/message.hpp"

namespace quicken::http {

struct Range {
    std::uint64_t begin;  // bytes
    std::uint64_t size;   // bytes, at least 1
};

/// The parts that the field asks for, as they are there: empty if it can have none (416). Nothing if the
/// field is to be ignored: not of bytes, malformed, more than 16 parts, or more bytes than there are.
std::optional<std::vector<Range>> parse_ranges(std::string_view field, std::uint64_t size);

/// Makes `whole` (200, with its Content-Type and without pieces) the answer with these parts: 206, as
/// multipart/byteranges if they are several, or 416. `piece` makes the piece of the body that is a range's.
void make_partial(Response& whole, const std::vector<Range>& ranges, std::uint64_t size,
                  const std::function<Piece(const Range&)>& piece);

}  // namespace quicken::http
