// Parts of field values: lists, blanks, letters of either case.
#pragma once

#include <algorithm>
#include <string_view>

namespace quicken::http {

inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

inline bool equal_any_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

inline std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// Takes the next member off a list, trimmed; a separator within quotes separates nothing.
inline std::string_view take_member(std::string_view& list, char separator = ',') {
    bool quoted = false;
    std::size_t length = 0;
    for (; length < list.size() && (quoted || list[length] != separator); ++length) {
        if (list[length] == '"') quoted = !quoted;
    }
    const std::string_view member = trimmed(list.substr(0, length));
    list.remove_prefix(length < list.size() ? length + 1 : length);
    return member;
}

}  // namespace quicken::http
