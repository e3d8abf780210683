#include "ctl/tree.hpp"

#include <fmt/format.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <utility>

#include "common/error.hpp"

namespace quicken::ctl {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t k_max_kept = 16U << 20;  // bytes; of a larger file a hash is compared

std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return "(cannot be read)";
    }
    if (fs::file_size(path) <= k_max_kept) {
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::size_t hash = 0;
    std::string block(1U << 20, '\0');
    while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0) {
        block.resize(static_cast<std::size_t>(file.gcount()));
        hash = hash * 31 + std::hash<std::string>{}(block);
    }
    return fmt::format("({} bytes, hash {:016x})", fs::file_size(path), hash);
}

Node look_at(const fs::directory_entry& entry) {
    const fs::file_status status = entry.symlink_status();
    Node node{status.type(), static_cast<unsigned>(status.permissions()), {}};
    if (status.type() == fs::file_type::symlink) {
        node.content = fs::read_symlink(entry.path()).string();
    } else if (status.type() == fs::file_type::regular) {
        node.content = content_of(entry.path());
    }
    return node;
}

constexpr auto k_options = fs::directory_options::skip_permission_denied;

/// So that what is in them can be removed.
void open_directories(const fs::path& directory) {
    fs::permissions(directory, fs::perms::owner_all, fs::perm_options::add);
    for (const auto& entry : fs::directory_iterator(directory)) {
        if (entry.is_directory() && !entry.is_symlink()) {
            open_directories(entry.path());
        }
    }
}

const char* name_of(fs::file_type kind) {
    switch (kind) {
        case fs::file_type::regular:
            return "a file";
        case fs::file_type::directory:
            return "a directory";
        case fs::file_type::symlink:
            return "a symbolic link";
        case fs::file_type::fifo:
            return "a FIFO";
        case fs::file_type::socket:
            return "a socket";
        default:
            return "a device";
    }
}

}  // namespace

Tree read_tree(const fs::path& directory) {
    Tree tree;
    for (const auto& entry : fs::recursive_directory_iterator(directory, k_options)) {
        tree.emplace(entry.path().lexically_relative(directory).string(), look_at(entry));
    }
    return tree;
}

std::string describe(const Node& node) {
    std::string text = fmt::format("{}, mode {:o}", name_of(node.kind), node.mode);
    if (node.kind == fs::file_type::regular) {
        text += fmt::format(", {} bytes", node.content.size());
    }
    return node.kind == fs::file_type::symlink ? text + ", to " + node.content : text;
}

void clear(const fs::path& directory) {
    open_directories(directory);
    for (const auto& entry : fs::directory_iterator(directory)) {
        fs::remove_all(entry.path());
    }
}

void copy_content(const fs::path& from, const fs::path& to) {
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

}  // namespace quicken::ctl
