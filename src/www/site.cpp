#include "www/site.hpp"

#include <fmt/format.h>

namespace quicken::www {

namespace {

constexpr std::string_view k_methods = "GET, HEAD, OPTIONS";

http::Response other_method(std::string_view method) {
    http::Response response;
    if (method != "OPTIONS") response = http::error_page(405);
    response.add("Allow", k_methods);
    return response;
}

/// A client chooses the text: no control character of it reaches the terminal.
std::string printable(std::string_view text) {
    std::string result;
    for (const char c : text) {
        if (const auto byte = static_cast<unsigned char>(c); byte < ' ' || byte == 127) {
            result += fmt::format("\\x{:02x}", byte);
        } else {
            result += c;
        }
    }
    return result;
}

}  // namespace

void Site::serve(http::Server& server, const std::string& directory) {
    files_ = std::make_unique<http::Files>(server);
    http::FileRules rules;
    rules.folders = {{"/", directory}};
    rules.directory_listing = true;
    files_->set(std::move(rules));
}

void Site::handle(std::shared_ptr<http::Exchange> exchange) {
    const http::Request& request = exchange->request();
    if (request.method != "GET" && request.method != "HEAD")
        return exchange->respond(other_method(request.method));
    const auto path = http::normal_path(request.target);
    if (!path || !files_->answer(exchange, *path)) exchange->respond(http::error_page(404));
}

void Site::answered(const http::Request& request, unsigned status, std::uint64_t size, double seconds) {
    if (!verbose_ && status < 400) return;
    log_.add(fmt::format("\"{}\" {} {} ({:.1f}ms)", printable(request.line()), status, size, seconds * 1e3));
}

}  // namespace quicken::www
