// Requests that another server answers: streamed both ways, with keep-alive to
// the back end; an Upgrade (websocket) becomes a tunnel.
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
    /// reached or breaks before its answer's head, 504 if it is too slow; later the connection is cut.
    bool forward(const std::shared_ptr<Exchange>& exchange, std::string_view path);

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quicken::http
