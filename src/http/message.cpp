// What message.hpp declares; see there.
#include "http/message.hpp"

#include <strings.h>

#include <algorithm>

#include "http/status.hpp"

namespace quicken::http {
namespace {

bool same_name(std::string_view left, std::string_view right) {
    return left.size() == right.size() && strncasecmp(left.data(), right.data(), left.size()) == 0;
}

/// Text for HTML. "--" would end the comment that some pages are put into.
std::string html(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '&') {
            result += "&amp;";
        } else if (c == '<') {
            result += "&lt;";
        } else if (c == '>') {
            result += "&gt;";
        } else if (c == '-' && i > 0 && text[i - 1] == '-') {
            result += "&#45;";
        } else {
            result += c;
        }
    }
    return result;
}

/// One of a field's two parts, fit for a line.
void append_clean(std::string& line, std::string_view part) {
    const auto begin = static_cast<std::ptrdiff_t>(line.size());
    line += part;
    std::replace_if(
        line.begin() + begin, line.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
}

}  // namespace

std::string_view Request::field(std::string_view name) const {
    for (const Field& field : fields) {
        if (same_name(field.name, name)) return field.value;
    }
    return {};
}

bool Request::has(std::string_view name) const {
    return std::any_of(fields.begin(), fields.end(),
                       [name](const Field& field) { return same_name(field.name, name); });
}

std::string Request::line() const {
    std::string result;
    result.reserve(method.size() + target.size() + 10);
    result.append(method).append(" ").append(target).append(minor == 0 ? " HTTP/1.0" : " HTTP/1.1");
    return result;
}

std::uint64_t size_of(const Piece& piece) {
    if (const auto* text = std::get_if<std::string>(&piece)) return text->size();
    if (const auto* shared = std::get_if<std::shared_ptr<const std::string>>(&piece))
        return (*shared)->size();
    return std::get<FileSlice>(piece).size;
}

void Response::add(std::string_view name, std::string_view value) {
    append_clean(fields, name);
    fields += ": ";
    append_clean(fields, value);
    fields += "\r\n";
}

std::string_view Response::field(std::string_view name) const {
    std::string_view rest = fields;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find("\r\n"), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 2, rest.size()));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || !same_name(line.substr(0, colon), name)) continue;
        const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
        return begin == std::string_view::npos ? std::string_view() : line.substr(begin);
    }
    return {};
}

std::uint64_t Response::size() const {
    std::uint64_t total = 0;
    for (const Piece& piece : pieces) total += size_of(piece);
    return total;
}

std::string_view reason_of(unsigned status) {
    return status_of(status).reason;
}

Response error_page(unsigned status, std::string_view message, std::string_view explanation) {
    const Status& known = status_of(status);
    const std::string code = std::to_string(status);
    Response page;
    page.status = status;
    page.add("Content-Type", "text/html;charset=utf-8");
    page.add("Cache-Control", "no-store");
    page.pieces.emplace_back(
        "<!DOCTYPE HTML>\n<html lang=\"en\">\n    <head>\n        <meta charset=\"utf-8\">\n"
        "        <title>Error response</title>\n    </head>\n    <body>\n        <h1>Error response</h1>\n"
        "        <p>Error code: " +
        code + "</p>\n        <p>Message: " + html(message.empty() ? known.reason : message) +
        ".</p>\n        <p>Error code explanation: " + code + " - " +
        html(explanation.empty() ? known.explanation : explanation) + ".</p>\n    </body>\n</html>\n");
    return page;
}

}  // namespace quicken::http
