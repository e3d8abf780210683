// How the server came to be, and what it was given.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>

#include "common/fd.hpp"
#include "trace.hpp"

namespace quicken::server {

/// Which file a path names; see stat(2).
struct FileId {
    dev_t device;
    ino_t inode;
    friend bool operator==(const FileId&, const FileId&) = default;
};

std::optional<FileId> file_id(const std::string& path);

struct Place {
    Fd listener;
    std::string instance;   // 32 hexadecimal digits, from the socket's name
    std::string directory;  // of the socket
    std::string own_path;   // the socket's path if it is ours to unlink; empty under systemd
    std::string library;    // the hook
    Fd session;             // quicken-session
    Trace own;              // quicken's files, as they were when the server started
    rlimit fd_limit{};      // RLIMIT_NOFILE for templates
};

}  // namespace quicken::server
