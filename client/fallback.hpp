// Ways out of the client into other programs.
#pragma once

#include <string_view>

#include "process.hpp"

namespace quicken::client {

/// Runs the program as if there were no quicken.
[[noreturn]] void run_plainly(Run& run, std::string_view reason);

/// Has the activator start a server; it runs us again, or the program plainly.
[[noreturn]] void activate(Run& run);

/// Hands the command line over to quickenctl.
[[noreturn]] void run_tool(const Process& process);

/// ... to quicken-serve.
[[noreturn]] void run_serve(const Process& process);

}  // namespace quicken::client
