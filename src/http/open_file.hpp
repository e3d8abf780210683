// Opening what is to be served: regular files and nothing else.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/fd.hpp"

namespace quicken::http {

/// A version of a file. Kernels stamp times by ticks of some milliseconds: two edits in one tick that leave
/// the size alone make the same identity.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;              // bytes
    std::int64_t modified_ns = 0;        // since the epoch
    std::int64_t status_changed_ns = 0;  // since the epoch; no program can set it

    explicit FileIdentity(const struct stat& status);
    FileIdentity() = default;
    bool operator==(const FileIdentity&) const = default;

    std::int64_t modified() const { return modified_ns / 1'000'000'000; }  // seconds
    /// The file changed so short a time ago that an edit after this may leave the identity as it is.
    bool is_recent() const;
};

struct FileIdentityHash {
    std::size_t operator()(const FileIdentity& identity) const {
        return std::hash<std::uint64_t>()(identity.inode * 31 + identity.device) ^
               std::hash<std::int64_t>()(identity.status_changed_ns + identity.modified_ns);
    }
};

enum class FileKind { none, regular, directory, busy };  // busy: out of descriptors or memory

struct OpenFile {
    FileKind kind = FileKind::none;
    std::shared_ptr<const Fd> fd;  // of a regular file
    FileIdentity identity;
};

/// What is there, links followed.
FileKind kind_of(const std::string& file);

/// Follows symbolic links, as quick_server does: what the owner of a folder links is served. Never blocks on
/// a FIFO and never opens a device: looks before it opens, and again after. No permission: none.
OpenFile open_file(const std::string& file);

/// At most `size` bytes from the start, fewer if there are no more; nothing on an error.
std::shared_ptr<std::string> read_file(const Fd& fd, std::uint64_t size);

}  // namespace quicken::http
