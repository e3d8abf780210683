// See site.hpp.
#include "http/site.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace quicken::http {
namespace {

constexpr std::string_view k_methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};

bool reads(const Request& request) {
    return request.method == "GET" || request.method == "HEAD";
}

std::string too_large(std::uint64_t size, std::uint64_t limit) {
    return fmt::format("Uploaded file is too large! {} > {}", size, limit);
}

/// For a terminal: what is not printable ASCII is escaped.
std::string printable(std::string_view line) {
    std::string out;
    for (const char c : line) {
        if (c >= ' ' && c <= '~') {
            out += c;
        } else {
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

std::string size_text(std::uint64_t size) {
    constexpr std::string_view k_units[] = {"KiB", "MiB", "GiB"};
    if (size < 1024) {
        return fmt::format("{} B", size);
    }
    double scaled = static_cast<double>(size) / 1024;
    size_t unit = 0;
    for (; scaled >= 1024 && unit + 1 < std::size(k_units); ++unit) {
        scaled /= 1024;
    }
    return fmt::format("{:.1f} {}", scaled, k_units[unit]);
}

}  // namespace

Site::Site(Handlers& handlers, const Settings& settings)
    : handlers_(handlers),
      settings_(settings),
      server_(*this, settings),
      files_(server_),
      proxy_(server_, settings) {}

void Site::set_files(FileRules rules) {
    policy_ = rules.policy;
    files_.set(std::move(rules));
}

void Site::answer(Exchange& exchange, Response response) {
    const Request& request = exchange.request();
    if (response.status == 200 && reads(request)) {
        represent(request, response, policy_);
    }
    send(exchange, std::move(response));
}

void Site::send(Exchange& exchange, Response response) {
    add_cross_origin(exchange.request(), response, policy_);
    exchange.respond(std::move(response));
}

void Site::begin(Exchange& exchange, Response head) {
    add_cross_origin(exchange.request(), head, policy_);
    exchange.begin(std::move(head));
}

void Site::not_found(Exchange& exchange) {
    answer(exchange, error_page(404, "File not found", "Nothing matches the given URI"));
}

void Site::start(std::shared_ptr<Exchange> exchange, Match match) {
    if (reads(exchange->request()) || !exchange->request().has_body()) {
        handlers_.call(std::move(exchange), std::move(match), {});
        return;
    }
    Exchange& reader = *exchange;
    reader.read_body(settings_.max_body, too_large,
                     [this, exchange = std::move(exchange), match = std::move(match)](Body body) mutable {
                         handlers_.call(std::move(exchange), std::move(match), std::move(body));
                     });
}

void Site::answer_options(Exchange& exchange) {
    Response response;
    response.add("Allow", "GET, POST, PUT, DELETE, HEAD");
    if (policy_.cross_origin) {
        response.add("Access-Control-Max-Age", "600");
    }
    answer(exchange, std::move(response));
}

bool Site::forward(const std::shared_ptr<Exchange>& exchange, std::string_view path) {
    const std::string line = debug_proxy_ ? printable(exchange->request().line()) : std::string();
    const bool forwarded = proxy_.forward(exchange, path);
    if (forwarded && debug_proxy_) {
        handlers_.log(fmt::format("proxy: \"{}\"", line));
    }
    return forwarded;
}

void Site::refuse(Exchange& exchange) {
    const Request& request = exchange.request();
    if (std::find(std::begin(k_methods), std::end(k_methods), request.method) == std::end(k_methods)) {
        answer(exchange, error_page(501, fmt::format("Unsupported method ('{}')", request.method)));
        return;
    }
    const std::string allowed = reads(request) ? std::string() : routes_->methods(request.target);
    if (allowed.empty()) {
        not_found(exchange);
        return;
    }
    Response response = error_page(405);
    response.add("Allow", allowed);
    answer(exchange, std::move(response));
}

void Site::handle(std::shared_ptr<Exchange> exchange) {
    const Request& request = exchange->request();
    if (request.method == "OPTIONS" && policy_.cross_origin) {
        answer_options(*exchange);
        return;
    }
    if (std::optional<Match> match = routes_->find(request.method, request.target)) {
        start(std::move(exchange), std::move(*match));
        return;
    }
    if (std::optional<std::string> path = normal_path(request.target)) {
        if ((reads(request) && files_.answer(exchange, *path)) || forward(exchange, *path)) {
            return;
        }
        if (reads(request) && handlers_.has_fallback()) {
            handlers_.fallback(std::move(exchange), std::move(*path));
            return;
        }
    }
    if (request.method == "OPTIONS") {
        answer_options(*exchange);
    } else {
        refuse(*exchange);
    }
}

void Site::answered(const Request& request, unsigned status, std::uint64_t size, double seconds) {
    if (quiet_ && (status == 200 || status == 304)) {
        return;
    }
    const std::string line = request.method.empty() ? "-" : printable(request.line());
    handlers_.log(fmt::format("{} \"{}\" {} {} {:.1f} ms",
                              request.peer_address.empty() ? "-" : request.peer_address, line, status,
                              size_text(size), seconds * 1000));
}

}  // namespace quicken::http
