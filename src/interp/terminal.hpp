// A spare's session and terminal (common/session.hpp), made the client's.
#pragma once

#include <sys/types.h>

#include "common/wire.hpp"
#include "orphan.hpp"

namespace quicken::interp {

/// Gives the terminal the modes and the size of the client's, joins the process group that the command is to
/// be in, and has the leader do its part, which goes on meanwhile. nullptr, or what failed.
const char* attach_session(const Session& session, const wire::Request& request, pid_t client);

/// Waits for the leader. nullptr and the process group, or what failed.
const char* await_session(const Session& session, pid_t& group);

/// For a client without a terminal: no controlling terminal, a process group of our own, a session of our own
/// if the client leads one.
void leave_session(Session& session, pid_t client);

void close_session(Session& session);

}  // namespace quicken::interp
