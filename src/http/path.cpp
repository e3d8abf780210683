// A path is unquoted first and resolved then, once: "%2e%2e%2f" is "../". What
// comes out begins with one "/", has no empty, "." or ".." segment, and so,
// appended to a folder, cannot leave it but by a symbolic link of its owner's.
#include "http/path.hpp"

#include <optional>
#include <vector>

#include "http/files.hpp"

namespace quicken::http {

namespace {

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> unquoted(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (c == '\0') return std::nullopt;
        result += c;
    }
    return result;
}

/// Nothing in it that resolving would change: the usual case.
bool is_resolved(std::string_view path) {
    return path.starts_with('/') && path.find("//") == std::string_view::npos &&
           path.find("/.") == std::string_view::npos;
}

std::optional<std::string> resolved(std::string_view path) {
    std::vector<std::string_view> segments;
    bool directory = false;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view segment = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        directory = segment.empty() || segment == "." || segment == ".." || slash != std::string_view::npos;
        if (segment.empty() || segment == ".") continue;
        if (segment != "..") {
            segments.push_back(segment);
        } else if (segments.empty()) {
            return std::nullopt;
        } else {
            segments.pop_back();
        }
    }
    std::string result = "/";
    for (const std::string_view segment : segments) {
        result += segment;
        result += '/';
    }
    if (!directory && !segments.empty()) result.pop_back();
    return result;
}

std::size_t path_size(std::string_view target) {
    const std::size_t end = target.find_first_of("?#");
    return end == std::string_view::npos ? target.size() : end;
}

}  // namespace

std::optional<std::string> normal_path(std::string_view target) {
    std::optional<std::string> path = unquoted(target.substr(0, path_size(target)));
    if (!path || !path->starts_with('/') || is_resolved(*path)) {
        return path && path->starts_with('/') ? path : std::nullopt;
    }
    return resolved(*path);
}

std::string quote_path(std::string_view path) {
    std::string result;
    for (const char c : path) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter || (c >= '0' && c <= '9') || std::string_view("/-._~").find(c) != std::string_view::npos) {
            result += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            result += '%';
            result += "0123456789ABCDEF"[byte >> 4];
            result += "0123456789ABCDEF"[byte & 15];
        }
    }
    return result;
}

bool has_hidden_segment(std::string_view path) {
    return path.find("/.") != std::string_view::npos;
}

std::string_view query_of(std::string_view target) {
    target.remove_prefix(path_size(target));
    return target.substr(0, target.find('#'));
}

}  // namespace quicken::http
