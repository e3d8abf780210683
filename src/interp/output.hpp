// What a prelude prints: where it goes while the prelude runs, and how every
// command writes it again before its own.
//
// Standard output and standard error of a template are two pipes or, where its
// clients have a terminal, a pseudo-terminal. Only the template reads them
// (output.py keeps the log); a spare has neither.
#pragma once

namespace quicken::interp {

/// Before the interpreter is started. A read of fd 0 fails with EBADF, so that a prelude that reads standard
/// input cannot mistake it for an empty one. False with errno set.
bool capture_streams();

/// In a command: bit N if what fd N leads to now is not like the template's, so that Python's stream for it
/// has to be fitted (streams.py).
unsigned unlike_streams();

/// For output.py, in the bootstrap's namespace, before its code is run.
void describe_streams();

/// At the fork point: takes over the log. nullptr, or why it cannot be replayed.
const char* finish_capture();

/// In a spare: lets go of the template's side.
void leave_streams();

/// In a spare that has the client's streams: nullptr, or why what the prelude has printed would not have
/// been written to them as it was.
const char* check_output();

/// In a command: writes what the prelude has printed. False with an exception set if that failed. Where it
/// has printed nothing this costs nothing.
bool replay_output();

}  // namespace quicken::interp
