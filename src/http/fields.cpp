// See fields.hpp.
#include "http/fields.hpp"

#include <strings.h>

#include <algorithm>

namespace quicken::http {
namespace {

/// `name` in lower case with its colon.
bool begins(std::string_view line, std::string_view name) {
    return line.size() >= name.size() && strncasecmp(line.data(), name.data(), name.size()) == 0;
}

std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end == std::string_view::npos ? end : end + 1);
    rest.remove_prefix(line.size());
    return line;
}

bool says_close(std::string_view line) {
    constexpr std::string_view k_close = "close";
    return std::search(line.begin(), line.end(), k_close.begin(), k_close.end(),
                       [](char c, char wanted) { return (c | 0x20) == wanted; }) != line.end();
}

}  // namespace

FieldSet find_fields(std::string_view lines) {
    FieldSet found;
    while (!lines.empty()) {
        const std::string_view line = take_line(lines);
        switch (line.front() | 0x20) {
            case 'd':
                found.date = found.date || begins(line, "date:");
                break;
            case 's':
                found.server = found.server || begins(line, "server:");
                break;
            case 't':
                found.encoding = found.encoding || begins(line, "transfer-encoding:");
                break;
            case 'c':
                found.length = found.length || begins(line, "content-length:");
                if (begins(line, "connection:")) {
                    found.connection = true;
                    found.close = found.close || says_close(line);
                }
                break;
            default:
                break;
        }
    }
    return found;
}

void erase_field(std::string& lines, std::string_view name) {
    std::string kept;
    std::string_view rest = lines;
    while (!rest.empty()) {
        const std::string_view line = take_line(rest);
        if (!begins(line, name)) kept += line;
    }
    lines = std::move(kept);
}

}  // namespace quicken::http
