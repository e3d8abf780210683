#include "http/range.hpp"

#include <sys/random.h>

#include <charconv>

#include "http/words.hpp"

namespace quicken::http {

namespace {

constexpr std::size_t k_most_parts = 16;

/// Digits and nothing else; too large a number is the largest.
std::optional<std::uint64_t> number_of(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    std::uint64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    return result.ec == std::errc{} ? value : UINT64_MAX;
}

/// False: malformed. A part that begins past the end is left out.
bool add_range(std::string_view text, std::uint64_t size, std::vector<Range>& ranges) {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return false;
    const std::string_view last_text = text.substr(dash + 1);
    const auto last = number_of(last_text);
    if (dash == 0) {  // the last N bytes
        if (!last) return false;
        const std::uint64_t length = std::min(*last, size);
        if (length > 0) ranges.push_back({size - length, length});
        return true;
    }
    const auto first = number_of(text.substr(0, dash));
    if (!first || (!last && !last_text.empty()) || (last && *last < *first)) return false;
    if (*first < size) ranges.push_back({*first, std::min(last.value_or(size), size - 1) - *first + 1});
    return true;
}

std::string content_range(const Range& range, std::uint64_t size) {
    return "bytes " + std::to_string(range.begin) + "-" + std::to_string(range.begin + range.size - 1) + "/" +
           std::to_string(size);
}

/// Not to be guessed, so that no content can hold it by intent.
std::string boundary() {
    unsigned char bytes[16] = {};
    // Up to 256 bytes come whole once the pool is ready (getrandom(2)); before, a fixed one is as correct.
    [[maybe_unused]] const ssize_t got = getrandom(bytes, sizeof bytes, GRND_NONBLOCK);
    std::string text;
    for (const unsigned char byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

void make_multipart(Response& whole, const std::vector<Range>& ranges, std::uint64_t size,
                    const std::function<Piece(const Range&)>& piece) {
    const std::string separator = boundary();
    const std::string type(whole.field("Content-Type"));
    const std::size_t line = whole.fields.find("Content-Type: ");
    if (line != std::string::npos) whole.fields.erase(line, whole.fields.find("\r\n", line) + 2 - line);
    whole.add("Content-Type", "multipart/byteranges; boundary=" + separator);
    const char* before = "--";
    for (const Range& range : ranges) {
        whole.pieces.emplace_back(before + separator + "\r\nContent-Type: " + type +
                                  "\r\nContent-Range: " + content_range(range, size) + "\r\n\r\n");
        whole.pieces.push_back(piece(range));
        before = "\r\n--";
    }
    whole.pieces.emplace_back("\r\n--" + separator + "--\r\n");
}

}  // namespace

std::optional<std::vector<Range>> parse_ranges(std::string_view field, std::uint64_t size) {
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos || !equal_any_case(trimmed(field.substr(0, equals)), "bytes"))
        return std::nullopt;
    std::string_view list = field.substr(equals + 1);
    std::vector<Range> ranges;
    std::size_t count = 0;
    while (!list.empty()) {
        const std::string_view member = take_member(list);
        if (member.empty()) continue;
        if (++count > k_most_parts || !add_range(member, size, ranges)) return std::nullopt;
    }
    if (count == 0) return std::nullopt;
    std::uint64_t total = 0;
    for (const Range& range : ranges) total += range.size;
    if (ranges.size() > 1 && total > size) return std::nullopt;
    return ranges;
}

void make_partial(Response& whole, const std::vector<Range>& ranges, std::uint64_t size,
                  const std::function<Piece(const Range&)>& piece) {
    if (ranges.empty()) {
        whole = error_page(416);
        whole.add("Content-Range", "bytes */" + std::to_string(size));
        return;
    }
    whole.status = 206;
    if (ranges.size() > 1) return make_multipart(whole, ranges, size, piece);
    whole.add("Content-Range", content_range(ranges.front(), size));
    whole.pieces.push_back(piece(ranges.front()));
}

}  // namespace quicken::http
