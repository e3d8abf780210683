// Who comes next is likely to be as the last one was: a shell's commands have
// one environment and one kind of standard streams. A spare is made so while it
// waits; of a client that is not, what differs is put right when it comes. A
// guess: nothing that a program sees depends on it.
#pragma once

#include "request.hpp"

namespace quicken::interp {

/// Once, in the template, before the first fork.
void prepare_expected();

/// In a spare, before it waits.
void expect_client();

/// Whether the client's environment is the one that Python has been given already.
bool has_expected_environment(const Received& received);

/// Once fds 0, 1 and 2 are the client's: bit N if Python's stream for fd N has to be fitted to what it leads
/// to now (streams.py), bit 3 + N if it had been fitted to something else.
unsigned unlike_streams();

/// At the end of a command, when its client has been told: what the next spares are to expect.
void note_client(const Received& received);

}  // namespace quicken::interp
