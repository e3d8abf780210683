#pragma once

#include "process.hpp"

namespace quicken::client {

/// The client, from its start to its end.
[[noreturn]] void run(const Process& process);

}  // namespace quicken::client
