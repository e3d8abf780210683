// The client's own file descriptors.
#pragma once

#include "common/sys.hpp"

namespace quicken::client {

/// Moves an fd of ours out of 0, 1 and 2, which it has got where the client
/// was started with one of them closed: it would be passed to the command as
/// its standard stream. Close-on-exec; -errno is passed through.
inline int lift(int fd) {
    if (fd < 0 || fd > 2) return fd;
    const int lifted = sys::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    sys::close(fd);
    return lifted;
}

}  // namespace quicken::client
