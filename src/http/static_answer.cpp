#include "http/static_answer.hpp"

#include "http/compression.hpp"
#include "http/conditional.hpp"
#include "http/range.hpp"

namespace quicken::http {

namespace {

Piece part_of(const Piece& whole, const Range& range) {
    if (const auto* slice = std::get_if<FileSlice>(&whole))
        return FileSlice{slice->file, slice->offset + range.begin, range.size};
    if (const auto* shared = std::get_if<std::shared_ptr<const std::string>>(&whole))
        return (*shared)->substr(range.begin, range.size);
    return std::get<std::string>(whole).substr(range.begin, range.size);
}

/// As quick_server's, and what RFC 9110, section 15.4.5, asks for besides.
Response not_modified(const Version& version, const Policy& policy) {
    Response response;
    response.status = 304;
    if (!version.etag.empty()) response.add("ETag", version.etag);
    response.add("Cache-Control", cache_control(policy.max_age));
    if (version.varies) response.add("Vary", "Accept-Encoding");
    return response;
}

void fill(Response& response, const Request& request, const Version& version) {
    if (request.method == "GET" && request.has("range") &&
        range_holds(request, version.etag, version.modified)) {
        const auto ranges = parse_ranges(request.field("range"), version.size);
        if (ranges) {
            return make_partial(response, *ranges, version.size,
                                [&](const Range& range) { return part_of(version.content, range); });
        }
    }
    if (version.packed && wants_packed(request)) {
        response.fields += "Content-Encoding: gzip\r\n";
        response.pieces.emplace_back(version.packed);
    } else {
        response.pieces.push_back(version.content);
    }
}

}  // namespace

bool wants_packed(const Request& request) {
    return !request.has("range") && takes_gzip(request);
}

Response answer_of(const Request& request, const Version& version, const Policy& policy) {
    Response response;
    if (precondition_failed(request, version.etag, version.modified)) {
        response = error_page(412);
    } else if (is_not_modified(request, version.etag, version.modified)) {
        response = not_modified(version, policy);
    } else {
        response.fields = version.fields;
        fill(response, request, version);
    }
    add_cross_origin(request, response, policy);
    return response;
}

}  // namespace quicken::http
