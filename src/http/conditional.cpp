// The comparison is quick_server's where a client sends back what it was given
// (the bare checksum), and RFC 9110's for what stands between and rewrites it:
// quotes, W/ and lists. Weak and strong are not told apart: the tag is made of the
// content and of nothing else.
#include "http/conditional.hpp"

#include <algorithm>

#include "http/representation.hpp"
#include "http/words.hpp"

namespace quicken::http {

namespace {

std::string_view bare(std::string_view tag) {
    if (tag.substr(0, 2) == "W/") tag.remove_prefix(2);
    if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') return tag.substr(1, tag.size() - 2);
    return tag;
}

bool names(std::string_view list, std::string_view etag) {
    if (etag.empty()) return false;
    if (list == etag || list == "*") return true;
    while (!list.empty()) {
        if (bare(take_member(list)) == etag) return true;
    }
    return false;
}

/// In any field of that name: a list may come in several.
bool field_names(const Request& request, std::string_view name, std::string_view etag) {
    return std::any_of(request.fields.begin(), request.fields.end(), [&](const Field& field) {
        return equal_any_case(field.name, name) && names(field.value, etag);
    });
}

}  // namespace

bool is_not_modified(const Request& request, std::string_view etag, std::optional<std::int64_t> modified) {
    // With it If-Modified-Since is not looked at.
    if (request.has("if-none-match")) return field_names(request, "if-none-match", etag);
    if (!modified) return false;
    const auto since = parse_http_date(request.field("if-modified-since"));
    return since && *modified <= *since;
}

bool precondition_failed(const Request& request, std::string_view etag, std::int64_t modified) {
    if (request.has("if-match")) return !field_names(request, "if-match", etag);
    const auto since = parse_http_date(request.field("if-unmodified-since"));
    return since && modified > *since;
}

bool range_holds(const Request& request, std::string_view etag, std::int64_t modified) {
    const std::string_view version = request.field("if-range");
    if (version.empty()) return !request.has("if-range");
    if (const auto date = parse_http_date(version)) return *date == modified;
    return !etag.empty() && bare(version) == etag;
}

}  // namespace quicken::http
