// What a program inherits from its caller besides what the request carries,
// taken over from the client's own process: it waits, so that nothing of it
// changes, and it is ours to look at (same user).
//
// Between a client's death and this reading its pid may be another's; the
// command then never starts, since `started` cannot be sent (wire.hpp), so
// nothing that was read there has an effect.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace quicken::interp {

/// Once, in the template: what it has itself its spares have too, so that only differences cost a call later.
void note_own_state();

/// Signal mask, umask, resource limits, nice value, CPU affinity, scheduling policy, I/O priority and OOM
/// score of process `client`. `mask` is the client's signal mask, bit N-1 for signal N. What the kernel does
/// not let us take over (a hard limit that is lower here) is taken as far as it goes.
/// nullptr, or why a client like this must not be served: a server must not be a way out of a sandbox.
/// `note` says what could not be taken over, "" if nothing.
const char* adopt_state(pid_t client, std::uint64_t mask, std::uint64_t& ignored, const char*& note);

/// The link to the client's working directory, valid until the next call. It can be followed by whom the
/// kernel lets look at the client (ptrace(2), PTRACE_MODE_READ), as for its namespaces.
const char* directory_of(pid_t client);

/// Whether process `pid` has `signal` blocked; false if there is no such process.
bool blocks_signal(pid_t pid, int signal);

}  // namespace quicken::interp
