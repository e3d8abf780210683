// One request on its way to a back end, and its answer on the way back.
#pragma once

#include <memory>
#include <string>

#include "http/exchange.hpp"
#include "http/proxy_backend.hpp"

namespace quicken::http {

/// A rule as it is applied.
struct Target {
    std::string name;  // "/api/"
    Origin origin;
    std::string path;  // of the rule's URL, without a "/" at its end

    std::string url() const { return (origin.tls ? "https://" : "http://") + origin.authority + path + "/"; }
};

/// Answers the exchange. `head` is the request's for that origin. `settings` and `server` outlive it. A
/// Location below the rule's URL, which the client cannot know, becomes one below its name.
void start_relay(Server& server, const Settings& settings, std::shared_ptr<BackEnds> back_ends,
                 std::shared_ptr<Exchange> exchange, const Target& target, std::string head);

}  // namespace quicken::http
