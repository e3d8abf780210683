// The directory of the sockets, and the order in which programs change what is
// in it.
//
// The directory is a real one, owned by us, with no access for others; where
// it is not, nothing is done in it. Who binds or unlinks a socket in it, or
// writes or removes the drop-ins of an instance, holds a flock(2) on it:
//  exclusive  self activation, a server that unlinks its sockets, the clean-up
//             of `quickenctl stop`
//  shared     activation through the user manager, which has its own order
// so that no clean-up removes what an activation has just made. The lock is
// waited for until a deadline only; it goes with its holder.
#pragma once

#include <string>
#include <string_view>

#include "common/bus.hpp"
#include "common/fd.hpp"

namespace quicken {

class Directory {
 public:
    /// Makes the directory (mode 0700) unless it exists. Throws where it or
    /// the runtime directory above it cannot be trusted.
    static Directory make(const std::string& path);
    /// The directory, or one with fd() == -1 if there is none.
    static Directory open(const std::string& path);

    int fd() const noexcept { return fd_.get(); }
    const std::string& path() const noexcept { return path_; }
    /// PATH/ID.sock, where a server listens for clients.
    std::string socket(std::string_view id) const { return path_ + "/" + std::string(id) + ".sock"; }
    /// PATH/ID.ctl, where a server listens for D-Bus.
    std::string control(std::string_view id) const { return path_ + "/" + std::string(id) + ".ctl"; }
    /// The user manager's runtime directory (%t) if the directory is its
    /// %t/quicken; otherwise empty.
    std::string runtime_directory() const;

    /// flock(2) with LOCK_EX or LOCK_SH. The lock is held until the result
    /// is closed; each call locks through an open file of its own.
    Fd lock(int operation, bus::Deadline deadline) const;

 private:
    Directory(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    std::string path_;
    Fd fd_;
};

/// Does a Unix socket that was bound as `path` listen? Asks the kernel's
/// table (/proc/net/unix): nobody is connected to or woken.
bool is_listening(const std::string& path);

}  // namespace quicken
