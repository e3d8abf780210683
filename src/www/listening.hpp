// The socket of a server that nobody passed one.
#pragma once

#include <cstdint>
#include <string>

#include "common/fd.hpp"

namespace quicken::www {

/// "" is all interfaces of IPv4, as in Python's socketserver, and a name is looked up there first. Port 0:
/// any. Throws Error.
Fd listen_at(const std::string& address, std::uint16_t port);

std::uint16_t port_of(const Fd& listener);

}  // namespace quicken::www
