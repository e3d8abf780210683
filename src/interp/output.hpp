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

/// What a standard stream leads to, as far as Python's stream for it depends on that.
enum class StreamKind : unsigned char { as_in_prelude, null_device, terminal, other };

/// Of fd 0, 1 or 2 as it is now.
StreamKind stream_kind(int fd);

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
