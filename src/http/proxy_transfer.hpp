// One request on its way to a back end, and its answer on the way back.
#pragma once

#include <memory>
#include <string>

#include "http/exchange.hpp"
#include "http/proxy_backend.hpp"

namespace quicken::http {

/// Answers the exchange. `head` is the request's for that origin. `settings` and `server` outlive it.
void start_transfer(Server& server, const Settings& settings, std::shared_ptr<BackEnds> back_ends,
                    std::shared_ptr<Exchange> exchange, const Origin& origin, std::string head);

}  // namespace quicken::http
