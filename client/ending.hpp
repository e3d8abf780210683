// How a signal acts on the client itself, and how the client ends.
#pragma once

namespace quicken::client {

/// The client was started with the signal ignored.
bool is_ignored(int signal);

/// Dies by the signal, without a core of its own. Returns only where the kernel does not let it.
void die_by(int signal);

/// Ends as a process with this wait status (wait(2)) did.
[[noreturn]] void end_as(int status);

}  // namespace quicken::client
