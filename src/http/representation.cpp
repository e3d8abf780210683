// What a handler's answer is given: as little as quick_server gives it (ETag,
// Cache-Control), and gzip.
//
// The tag is that of the content as the handler made it, compressed or not: scripts and
// clients of quick_server compute and compare it. Vary keeps caches from mixing the two up.
// An answer is compressed on the thread that has made it, at the fastest level: 1 MiB, the most
// that is, takes about as long as making such an answer does. A handler's thread loses the loop meanwhile
// if it takes long (python/threads.hpp).
#include "http/representation.hpp"

#include <array>

#include "http/checksum.hpp"
#include "http/compression.hpp"
#include "http/words.hpp"

namespace quicken::http {

namespace {

constexpr std::uint64_t k_compress_most = 1 << 20;  // bytes
constexpr int k_fast_level = 1;

/// The bytes of a piece in memory.
std::optional<std::string_view> bytes_of(const Piece& piece) {
    if (const auto* text = std::get_if<std::string>(&piece)) return *text;
    if (const auto* shared = std::get_if<std::shared_ptr<const std::string>>(&piece)) return **shared;
    return std::nullopt;
}

std::optional<std::string> checksum_of(const Response& response) {
    std::uint32_t sum = 0;
    for (const Piece& piece : response.pieces) {
        const auto bytes = bytes_of(piece);
        if (!bytes) return std::nullopt;
        sum = add_to_checksum(sum, *bytes);
    }
    return etag_of_checksum(sum);
}

void compress(Response& response) {
    std::string joined;
    std::string_view content;
    if (response.pieces.size() == 1) {
        content = *bytes_of(response.pieces.front());
    } else {
        for (const Piece& piece : response.pieces) joined += *bytes_of(piece);
        content = joined;
    }
    std::string packed = gzip(content, k_fast_level);
    if (packed.size() >= content.size()) return;
    response.pieces.clear();
    response.pieces.emplace_back(std::move(packed));
    response.add("Content-Encoding", "gzip");
}

void remove_field(Response& response, std::string_view name) {
    std::string kept;
    std::string_view rest = response.fields;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find("\r\n") + 2);
        rest.remove_prefix(line.size());
        if (!equal_any_case(line.substr(0, line.find(':')), name)) kept += line;
    }
    response.fields = std::move(kept);
}

void make_not_modified(Response& response) {
    response.status = 304;
    response.reason.clear();
    response.pieces.clear();
    remove_field(response, "Content-Type");
    remove_field(response, "Content-Length");
}

constexpr std::array<std::string_view, 12> k_texts = {
    "application/json",          "application/javascript",  "application/xml",
    "application/manifest+json", "application/xhtml+xml",   "application/wasm",
    "application/n-triples",     "application/x-sh",        "application/vnd.ms-fontobject",
    "application/rtf",           "image/x-portable-bitmap", "image/vnd.microsoft.icon"};

/// What a list says of gzip by name; without that, whether it takes `any` coding.
std::optional<bool> says_of_gzip(std::string_view list, bool& any) {
    while (!list.empty()) {
        std::string_view parameters = take_member(list);
        const std::string_view coding = take_member(parameters, ';');
        bool wanted = true;
        while (!parameters.empty()) {
            const std::string_view parameter = take_member(parameters, ';');
            if (parameter.empty() || lower(parameter.front()) != 'q') continue;
            wanted = parameter.find_first_not_of("qQ=0. \t") != std::string_view::npos;
        }
        if (equal_any_case(coding, "gzip") || equal_any_case(coding, "x-gzip")) return wanted;
        if (coding == "*") any = wanted;
    }
    return std::nullopt;
}

}  // namespace

bool pays_to_compress(std::string_view type, std::uint64_t size) {
    if (size < k_compress_least) return false;
    const std::string_view media = trimmed(type.substr(0, type.find(';')));
    if (media.starts_with("text/") || media.ends_with("+json") || media.ends_with("+xml")) return true;
    if (media == "font/ttf" || media == "font/otf") return true;
    return std::find(k_texts.begin(), k_texts.end(), media) != k_texts.end();
}

bool takes_gzip(const Request& request) {
    bool any = false;
    for (const Field& field : request.fields) {  // a list may come in several
        if (!equal_any_case(field.name, "accept-encoding")) continue;
        if (const auto said = says_of_gzip(field.value, any)) return *said;
    }
    return any;
}

void represent(const Request& request, Response& response, const Policy& policy) {
    if (response.status != 200 || (request.method != "GET" && request.method != "HEAD")) return;
    const std::optional<std::string> sum = checksum_of(response);
    if (!sum) return;  // a file in the body: it is not read for this
    if (response.field("ETag").empty()) response.add("ETag", *sum);
    if (response.field("Cache-Control").empty()) response.add("Cache-Control", cache_control(policy.max_age));
    const std::uint64_t size = response.size();
    const bool varies = policy.compress && size <= k_compress_most &&
                        response.field("Content-Encoding").empty() &&
                        pays_to_compress(response.field("Content-Type"), size);
    if (varies) response.add("Vary", "Accept-Encoding");
    if (is_not_modified(request, response.field("ETag"), std::nullopt)) {
        make_not_modified(response);
    } else if (varies && takes_gzip(request)) {
        compress(response);
    }
}

void add_cross_origin(const Request& request, Response& response, const Policy& policy) {
    if (!policy.cross_origin || !response.field("Access-Control-Allow-Origin").empty()) return;
    response.add("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, HEAD");
    if (request.has("access-control-request-headers"))
        response.add("Access-Control-Allow-Headers", request.field("access-control-request-headers"));
    response.add("Access-Control-Allow-Origin", "*");
    response.add("Access-Control-Allow-Credentials", "true");
}

std::string cache_control(double max_age) {
    constexpr double most = 1 << 30;  // RFC 9111, section 1.2.2: more is taken for 2^31
    const double seconds = max_age > 0 ? std::min(max_age, most) : 0;
    return "max-age=" + std::to_string(static_cast<long>(seconds));
}

}  // namespace quicken::http
