// Settings of the server, which come with the environment of its first client.
#pragma once

#include <string>

#include "program.hpp"

namespace quicken::server {

inline constexpr double k_default_idle_timeout = 86400;  // s
inline constexpr double k_max_seconds = 1e9;             // no timer is longer

/// QUICKEN_IDLE_TIMEOUT, in seconds.
double idle_timeout_of(const Program& program);

/// Opens QUICKEN_LOG_FILE for the log. Empty, or why it cannot be the log.
std::string open_log_of(const Program& program);

}  // namespace quicken::server
