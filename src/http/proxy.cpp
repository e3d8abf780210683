#include "http/proxy.hpp"

#include <algorithm>

#include "common/error.hpp"
#include "http/message.hpp"
#include "http/proxy_backend.hpp"
#include "http/proxy_head.hpp"
#include "http/proxy_relay.hpp"

namespace quicken::http {

namespace {

[[noreturn]] void refuse(const std::string& url, std::string_view why) {
    throw Error("proxy to " + url + ": " + std::string(why));
}

/// "host", "host:port", "[address]:port"
void read_authority(const std::string& url, std::string_view authority, Origin& origin) {
    if (authority.find('@') != std::string_view::npos) refuse(url, "a URL with a user name is not supported");
    std::string_view port;
    if (authority.starts_with('[')) {
        const std::size_t end = authority.find(']');
        if (end == std::string_view::npos) refuse(url, "']' is missing");
        origin.host = authority.substr(1, end - 1);
        port = authority.substr(end + 1);
    } else {
        const std::size_t end = std::min(authority.find(':'), authority.size());
        origin.host = authority.substr(0, end);
        port = authority.substr(end);
    }
    if (origin.host.empty()) refuse(url, "there is no host in it");
    if (!port.empty() && port.front() != ':') refuse(url, "the port must follow the host");
    if (!port.empty()) port.remove_prefix(1);
    const bool digits = port.size() <= 5 &&
                        std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) refuse(url, "the port is not a number");
    origin.port = port.empty() ? (origin.tls ? "443" : "80") : std::string(port);
    if (const auto number = std::stoul(origin.port); number == 0 || number > 65535) {
        refuse(url, "there is no such port");
    }
    origin.authority = authority;
}

Target target_of(const Proxy::Rule& rule) {
    if (!rule.name.starts_with('/') || !rule.name.ends_with('/')) {
        throw Error("proxy below " + rule.name + ": the name must begin and end with '/'");
    }
    Target target{rule.name, {}, {}};
    std::string_view rest = rule.url;
    const auto bad = [](char c) { return c <= ' ' || c == '\x7f' || c == '?' || c == '#' || c == '\\'; };
    if (std::any_of(rest.begin(), rest.end(), bad))
        refuse(rule.url, "a query, blank or '\\' is not supported");
    if (rest.starts_with("https://")) target.origin.tls = true;
    if (!target.origin.tls && !rest.starts_with("http://"))
        refuse(rule.url, "it must begin with http:// or https://");
    rest.remove_prefix(target.origin.tls ? 8 : 7);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    read_authority(rule.url, rest.substr(0, end), target.origin);
    target.path = rest.substr(end);
    while (target.path.ends_with('/')) target.path.pop_back();
    return target;
}

}  // namespace

class Proxy::Impl {
 public:
    Impl(Server& a_server, const Settings& a_settings)
        : server(a_server), settings(a_settings), back_ends(std::make_shared<BackEnds>(a_server)) {}

    Server& server;
    const Settings& settings;
    std::vector<Target> targets;  // the last one bound first
    std::shared_ptr<BackEnds> back_ends;
};

Proxy::Proxy(Server& server, const Settings& settings) : impl_(std::make_unique<Impl>(server, settings)) {}
Proxy::~Proxy() = default;

void Proxy::set(std::vector<Rule> rules) {
    std::vector<Target> targets;
    for (const Rule& rule : rules) targets.insert(targets.begin(), target_of(rule));
    impl_->targets = std::move(targets);
}

bool Proxy::forward(const std::shared_ptr<Exchange>& exchange, std::string_view path) {
    const auto found = std::find_if(impl_->targets.begin(), impl_->targets.end(),
                                    [path](const Target& target) { return path.starts_with(target.name); });
    if (found == impl_->targets.end()) return false;
    const Request& request = exchange->request();
    if (hops_of(request) >= k_max_hops) {
        exchange->respond(error_page(508, "Loop Detected", "The request has come through too many proxies"));
        return true;
    }
    const std::string target = found->path + "/" + rest_of_target(request.target, path, found->name);
    start_relay(impl_->server, impl_->settings, impl_->back_ends, exchange, *found,
                head_for(request, target, found->origin.authority));
    return true;
}

}  // namespace quicken::http
