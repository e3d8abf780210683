#include "watches.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <memory>

#include "common/error.hpp"

namespace quicken::server {

namespace {

constexpr std::uint32_t k_inode = IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF;
constexpr std::uint32_t k_content = IN_MODIFY | IN_CLOSE_WRITE;  // the latter for mmap(2)
constexpr std::uint32_t k_entries = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;
constexpr int k_max_links = 40;              // as path_resolution(7)
constexpr std::size_t k_least_watches = 64;  // the kernel's own limit answers for a lower one
constexpr std::size_t k_share = 8;           // of the user's watches one server takes at most 1/8
constexpr std::size_t k_queue = 1 << 20;     // bytes; max_queued_events of paths' usual length are fewer

/// Filesystems that others may change without this kernel: linux/magic.h and statfs(2).
constexpr std::array<std::uint32_t, 13> k_remote{NFS_SUPER_MAGIC,
                                                 SMB_SUPER_MAGIC,
                                                 0xff534d42 /* CIFS */,
                                                 0xfe534d42 /* SMB2 */,
                                                 FUSE_SUPER_MAGIC,
                                                 V9FS_MAGIC,
                                                 CODA_SUPER_MAGIC,
                                                 AFS_SUPER_MAGIC,
                                                 AFS_FS_MAGIC,
                                                 0x00c36400 /* Ceph */,
                                                 OCFS2_SUPER_MAGIC,
                                                 0x01161970 /* GFS2 */,
                                                 0x786f4256 /* vboxsf */};

std::size_t watch_limit() {
    std::size_t limit = 8192;  // the kernel's default up to 5.10
    std::ifstream("/proc/sys/fs/inotify/max_user_watches") >> limit;
    return std::max(limit / k_share, k_least_watches);
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

std::string joined(const std::string& directory, const std::string& name) {
    return directory == "/" ? directory + name : directory + "/" + name;
}

/// True also if that cannot be seen.
bool is_empty(const std::string& directory) {
    const std::unique_ptr<DIR, decltype([](DIR* open) { closedir(open); })> stream(
        opendir(directory.c_str()));
    if (!stream) return true;
    while (const dirent* entry = readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") return false;
    }
    return true;
}

std::string target_of(const std::string& link, const std::string& directory) {
    std::array<char, PATH_MAX> text{};
    const ssize_t size = readlink(link.c_str(), text.data(), text.size());
    if (size <= 0) return {};
    const std::string target(text.data(), static_cast<std::size_t>(size));
    return target.front() == '/' ? target : joined(directory, target);
}

bool is_gone(int error) {
    return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

}  // namespace

Watches::Watches() : fd_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)), limit_(watch_limit()) {
    if (!fd_) go_blind("no inotify: " + errno_text(errno));
}

void Watches::go_blind(const std::string& reason) {
    if (blind_.empty()) blind_ = reason;
}

void Watches::begin() {
    ++round_;
    followed_.clear();
    devices_.clear();
    if (fd_) blind_.clear();
}

void Watches::add(const Trace& trace) {
    if (!fd_) return;
    for (const TracedFile& file : trace.files()) follow(file.path, 0);
    for (const TracedDirectory& directory : trace.directories()) {
        const Node node = follow(directory.path, 0);
        if (node.kind != Node::Kind::directory) continue;
        Watched* watched = watch_entries(node.path);
        if (watched == nullptr) continue;
        watched->all = watched->all || directory.all;
        watched->stems.insert(directory.stems.begin(), directory.stems.end());
    }
}

void Watches::finish() {
    followed_.clear();
    std::erase_if(watched_, [this](const auto& each) {
        if (each.second.round == round_) return false;
        inotify_rm_watch(fd_.get(), each.first);
        return true;
    });
}

/// Places the watches on the way to where `path` leads. Each is placed before what it leads to is looked at.
Watches::Node Watches::follow(const std::string& path, int links) {
    if (const auto known = followed_.find(path); known != followed_.end()) return known->second;
    const std::string name = name_of(path);
    const Node parent = path == "/" ? Node{Node::Kind::directory, path} : follow(parent_of(path), links);
    Node node;
    if (parent.kind != Node::Kind::directory || name.empty() || name == ".") {
        node = parent.kind == Node::Kind::directory ? parent : node;
    } else if (name == "..") {
        node = {Node::Kind::directory, parent_of(parent.path)};
    } else {
        node = look(parent, name, links);
    }
    followed_[path] = node;
    return node;
}

/// One add with all that is wanted: to change a watch is as dear to the kernel as to place it.
Watches::Node Watches::look(const Node& parent, const std::string& name, int links) {
    const std::string path = joined(parent.path, name);
    struct stat before {};
    struct stat after {};
    const bool there = lstat(path.c_str(), &before) == 0;
    const std::uint32_t content = S_ISREG(before.st_mode) ? k_content : 0;
    // One that cannot be watched itself, for lack of permission, can by its name.
    if (!there || watch(path, k_inode | content | IN_DONT_FOLLOW) == nullptr) watch_name(parent.path, name);
    const bool still = lstat(path.c_str(), &after) == 0;
    if (there != still || before.st_ino != after.st_ino || before.st_dev != after.st_dev) {
        return links < k_max_links ? look(parent, name, links + 1) : Node{};
    }
    if (!there) return {};
    if (S_ISLNK(after.st_mode)) {
        const std::string target = target_of(path, parent.path);
        if (target.empty() || links >= k_max_links) return {};
        return follow(target, links + 1);
    }
    note_filesystem(after.st_dev, path);
    return {S_ISDIR(after.st_mode) ? Node::Kind::directory : Node::Kind::other, path};
}

/// nullptr if there is nothing to watch or it must not be read; anything else that fails makes us blind.
Watches::Watched* Watches::watch(const std::string& path, std::uint32_t mask) {
    const int descriptor = inotify_add_watch(fd_.get(), path.c_str(), mask | IN_MASK_ADD);
    if (descriptor < 0) {
        if (!is_gone(errno) && errno != EACCES)
            go_blind(fmt::format("watch {}: {}", path, errno_text(errno)));
        return nullptr;
    }
    Watched& watched = watched_[descriptor];
    if (watched.round != round_) watched = {path, {}, {}, false, false, false, round_};
    if (watched_.size() <= limit_) return &watched;
    go_blind(fmt::format("more than {} watches", limit_));
    inotify_rm_watch(fd_.get(), descriptor);
    watched_.erase(descriptor);
    return nullptr;
}

Watches::Watched* Watches::watch_entries(const std::string& directory) {
    Watched* watched = watch(directory, k_inode | k_entries);
    if (watched == nullptr) {
        if (errno == EACCES) go_blind(fmt::format("watch {}: {}", directory, errno_text(errno)));
        return nullptr;
    }
    if (watched->from_above || directory == "/" || !is_empty(directory)) return watched;
    watched->from_above = true;
    if (Watched* parent = watch(parent_of(directory), k_inode | k_entries)) {
        parent->names.insert(name_of(directory));
    } else if (errno == EACCES) {
        go_blind(fmt::format("watch {}: {}", parent_of(directory), errno_text(errno)));
    }
    return watched;
}

void Watches::watch_name(const std::string& directory, const std::string& name) {
    if (Watched* watched = watch_entries(directory)) watched->names.insert(name);
}

void Watches::note_filesystem(dev_t device, const std::string& path) {
    if (!devices_.insert(device).second) return;
    struct statfs status {};
    if (statfs(path.c_str(), &status) != 0) return;  // it is gone, which is told
    const auto magic = static_cast<std::uint32_t>(status.f_type);
    if (std::find(k_remote.begin(), k_remote.end(), magic) != k_remote.end()) {
        go_blind(fmt::format("{} is on a filesystem that others may change (type {:#x})", path, magic));
    }
}

bool Watches::concerns(const Watched& watched, const inotify_event& event) {
    if (event.len == 0) return true;
    const std::string_view name = event.name;
    if ((event.mask & k_entries) == 0) return false;  // an entry's own metadata
    if (watched.all || watched.names.contains(name) || watched.stems.contains(stem_of(name))) return true;
    return (event.mask & (IN_DELETE | IN_MOVED_FROM)) != 0 && !watched.from_above && is_empty(watched.path);
}

void Watches::note(const inotify_event& event, Events& events) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
        events.concern = events.paths = true;
        return;
    }
    const auto found = watched_.find(event.wd);
    if (found == watched_.end()) return;
    if (!concerns(found->second, event)) {
        found->second.noisy = true;
        return;
    }
    events.concern = true;
    if ((event.mask & ~k_content) != 0) events.paths = true;
    if ((event.mask & IN_IGNORED) != 0) watched_.erase(found);
}

void Watches::mute() {
    std::erase_if(watched_, [this](const auto& each) {
        if (each.second.noisy) inotify_rm_watch(fd_.get(), each.first);
        return each.second.noisy;
    });
}

Watches::Events Watches::read() {
    Events events;
    alignas(inotify_event) std::array<char, 65536> buffer{};
    for (std::size_t total = 0; fd_ && total < k_queue;) {
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        total += static_cast<std::size_t>(got);
        for (const char* at = buffer.data(); at < buffer.data() + got;) {
            const auto* event = reinterpret_cast<const inotify_event*>(at);
            note(*event, events);
            at += sizeof *event + event->len;
        }
    }
    return events;
}

}  // namespace quicken::server
