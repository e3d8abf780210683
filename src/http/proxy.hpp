// Requests that another server answers: streamed both ways, with keep-alive to
// the back end; an Upgrade (websocket) becomes a tunnel.
//
// Host is the back end's own, the client's is in X-Forwarded-Host; a Location
// below a rule's URL becomes one below its name. A body has no limit here, as
// nothing of it is kept: the back end has its own. A client that ends while it
// waits is taken for gone, as by nginx: its back end is let go. The certificate
// of an https back end is checked by the system's store. More than 20 proxies
// (Via) are 508: one that forwards to itself comes to an end.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"
#include "http/server.hpp"

namespace quicken::http {

class Proxy {
 public:
    Proxy(Server& server, const Settings& settings);
    ~Proxy();

    struct Rule {
        std::string name;  // "/api/": begins and ends with '/'
        std::string url;  // http://host[:port][/path] or https://…; what follows the name is appended to it
    };
    /// The last one bound is asked first. Throws Error for a URL that it cannot serve.
    void set(std::vector<Rule> rules);

    /// Forwards the request if a rule has its path, with all methods: true. 502 if the back end is not
    /// reached, breaks before its answer's head or does not keep to HTTP, 504 if it is too slow; later the
    /// connection is cut.
    bool forward(const std::shared_ptr<Exchange>& exchange, std::string_view path);

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quicken::http
