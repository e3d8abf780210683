// Bytes both ways between a client and a back end, once both have left HTTP.
#pragma once

#include <memory>
#include <string>

#include "http/proxy_backend.hpp"

namespace quicken::http {

/// Lives until both have ended, or one is lost. `answer` is written to the client first, `early` to the back
/// end: what has been read of each before. When one side has ended the other may go on for as long as less
/// than `linger` seconds pass without a byte of it.
void start_tunnel(Server& server, std::unique_ptr<Stream> client, std::shared_ptr<BackEnd> back_end,
                  std::string answer, std::string early, double linger);

}  // namespace quicken::http
