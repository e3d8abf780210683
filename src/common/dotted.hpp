// Names as Python's grammar has them. Freestanding.
#pragma once

#include <string_view>

#include "common/text.hpp"

namespace quicken {

inline bool is_identifier(std::string_view text) {
    if (text.empty() || (text.front() >= '0' && text.front() <= '9')) return false;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        const bool digit = c >= '0' && c <= '9';
        const bool beyond_ascii = (static_cast<unsigned char>(c) & 0x80U) != 0;  // Python judges those
        if (!letter && !digit && !beyond_ascii) return false;
    }
    return true;
}

/// Identifiers with a '.' between each two.
inline bool is_dotted(std::string_view text) {
    if (text.empty() || text.back() == '.') return false;
    while (!text.empty()) {
        if (!is_identifier(take_until(text, '.'))) return false;
    }
    return true;
}

/// MODULE:FUNCTION, both dotted.
inline bool is_entry(std::string_view text) {
    if (!contains(text, ':')) return false;
    const std::string_view module = take_until(text, ':');
    return is_dotted(module) && is_dotted(text);
}

}  // namespace quicken
