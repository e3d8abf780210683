// Forks whose child is the supervisor's, not the template's.
#pragma once

#include <sys/types.h>

namespace quicken::interp {

/// What a spare has of its session (common/session.hpp); -1 in a spare without. Close-on-exec.
struct Session {
    int master = -1;
    int terminal = -1;  // the slave
    int leader = -1;    // our end of the leader's socket
};

/// fork(), but the child belongs to the template's subreaper. Returns its pid, 0 in it, or -errno.
pid_t fork_orphan();

/// The same with a child that is in a new session with a controlling terminal of its own, whose leader is
/// `program`, an fd of quicken-session. In the child `session` is its own.
pid_t fork_in_session(int program, Session& session);

}  // namespace quicken::interp
