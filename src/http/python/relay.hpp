// A connection without HTTP that a script reads and writes as a socket.
#pragma once

#include <memory>
#include <string>

#include "common/fd.hpp"
#include "http/exchange.hpp"
#include "http/server.hpp"

namespace quicken::http::python {

/// Loop's thread. Relays both ways until both have ended; `buffered` goes to the script's side first. When
/// the script has closed its side, the client has 5 seconds to close its own.
void relay(Server& server, std::unique_ptr<Stream> client, std::string buffered, Fd script);

}  // namespace quicken::http::python
