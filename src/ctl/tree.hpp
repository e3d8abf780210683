// What is below a directory: copied into it, looked at, removed.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace quicken::ctl {

/// Of one name; times are not kept.
struct Node {
    std::filesystem::file_type kind;
    unsigned mode;        // permission bits
    std::string content;  // of a file; of a link its target; of a large file a hash
    friend bool operator==(const Node&, const Node&) = default;
};

using Tree = std::map<std::string, Node>;  // by path relative to the directory

Tree read_tree(const std::filesystem::path& directory);

/// "a file, mode 644, 12 bytes"
std::string describe(const Node& node);

/// Removes all that is in `directory`, also what may not be written to; the directory itself stays, as the
/// same inode.
void clear(const std::filesystem::path& directory);

/// What `from` holds into `to`, links as links, with their modes.
void copy_content(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace quicken::ctl
