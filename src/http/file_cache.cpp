#include "http/file_cache.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <time.h>

#include <algorithm>
#include <array>

namespace quicken::http {

namespace {

constexpr std::uint64_t k_most_bytes = 64 << 20;
constexpr std::size_t k_most_files = 16'384;
constexpr std::size_t k_most_open = 64;
constexpr std::int64_t k_second = 1'000'000'000;  // nanoseconds

// Those that other machines change, by statfs(2)'s type.
constexpr std::array<std::uint32_t, 9> k_remote = {NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
                                                   SMB2_SUPER_MAGIC, CODA_SUPER_MAGIC, AFS_SUPER_MAGIC,
                                                   CEPH_SUPER_MAGIC, V9FS_MAGIC,       FUSE_SUPER_MAGIC};

std::int64_t coarse_now() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * k_second + now.tv_nsec;
}

bool is_local(const Fd& fd) {
    struct statfs status {};
    if (fstatfs(fd.get(), &status) != 0) return false;
    return std::find(k_remote.begin(), k_remote.end(), static_cast<std::uint32_t>(status.f_type)) ==
           k_remote.end();
}

bool is_still(const std::string& file, const FileIdentity& identity) {
    struct stat status {};
    return stat(file.c_str(), &status) == 0 && FileIdentity(status) == identity;
}

/// What counts of it; a larger file's compressed form is FactsBook's.
std::uint64_t size_of(const KeptFile& kept) {
    if (!kept.content) return 0;
    return kept.content->size() + (kept.packed ? kept.packed->size() : 0);
}

}  // namespace

void FileCache::drop(Entries::iterator entry) {
    const auto [begin, end] = watched_.equal_range(entry->second.watch);
    const auto name =
        std::find_if(begin, end, [&](const auto& watched) { return watched.second == entry->first; });
    const bool last = std::next(begin) == end;
    if (last) watches_.remove(entry->second.watch);
    watched_.erase(name);
    size_ -= size_of(*entry->second.kept);
    ages_.erase(entry->second.age);
    open_.erase(entry->first);
    entries_.erase(entry);
}

void FileCache::clear() {
    watches_.reset();
    entries_.clear();
    watched_.clear();
    ages_.clear();
    open_.clear();
    size_ = 0;
}

bool FileCache::take_news() {
    changed_.clear();
    if (!watches_.read(changed_)) {
        clear();
        return true;
    }
    for (const int watch : changed_) {
        for (auto found = watched_.find(watch); found != watched_.end(); found = watched_.find(watch)) {
            drop(entries_.find(found->second));
        }
    }
    return !changed_.empty();
}

std::shared_ptr<KeptFile> FileCache::find(const std::string& file) {
    auto found = entries_.find(file);
    if (found == entries_.end()) return nullptr;
    if (take_news()) found = entries_.find(file);
    if (found == entries_.end()) return nullptr;
    Entry& entry = found->second;
    const std::int64_t now = coarse_now();
    entry.used_ns = now;
    if (now - entry.compared_ns > k_second) {
        if (!is_still(file, entry.kept->identity)) {
            drop(found);
            return nullptr;
        }
        entry.compared_ns = now;
    }
    if (entry.age != ages_.begin()) ages_.splice(ages_.begin(), ages_, entry.age);
    return entry.kept;
}

std::shared_ptr<KeptFile> FileCache::load(const std::string& file, FileKind& kind) {
    if (const auto old = entries_.find(file); old != entries_.end()) drop(old);
    const Watches::Watched watched = watches_.add(file);
    const OpenFile opened = open_file(file);  // after the watch began
    kind = opened.kind;
    if (kind != FileKind::regular) return nullptr;
    auto kept = std::make_shared<KeptFile>();
    kept->identity = opened.identity;
    bool whole = true;
    if (kept->identity.size <= k_small_file) {
        kept->content = read_file(*opened.fd, k_small_file + 1);
        whole = kept->content && kept->content->size() == kept->identity.size;
    }
    if (!kept->content || kept->content->size() > k_small_file) {
        kept->content = nullptr;
        kept->fd = opened.fd;
    }
    if (watched.watch < 0) return kept;
    struct stat real {};
    const bool same = lstat(watched.real.c_str(), &real) == 0 && FileIdentity(real) == kept->identity;
    if (same && whole && is_local(*opened.fd)) {
        keep(file, kept, watched.watch);
    } else if (!watched_.contains(watched.watch)) {
        watches_.remove(watched.watch);
    }
    return kept;
}

void FileCache::keep(const std::string& file, const std::shared_ptr<KeptFile>& kept, int watch) {
    const std::int64_t now = coarse_now();
    ages_.push_front(file);
    entries_[file] = {kept, watch, now, now, ages_.begin()};
    watched_.emplace(watch, file);
    if (kept->fd) open_.insert(file);
    size_ += size_of(*kept);
    make_room();
    take_news();  // drops it again if it has changed meanwhile
}

void FileCache::keep_packed(const std::string& file, KeptFile& kept,
                            std::shared_ptr<const std::string> packed) {
    const auto found = entries_.find(file);
    kept.packed = std::move(packed);
    if (found == entries_.end() || found->second.kept.get() != &kept) return;
    size_ += kept.packed->size();
    make_room();
}

void FileCache::make_room() {
    while (!ages_.empty() && (size_ > k_most_bytes || entries_.size() > k_most_files)) {
        drop(entries_.find(ages_.back()));
    }
    if (open_.size() > k_most_open) drop(entries_.find(*open_.begin()));
}

bool FileCache::close_unused() {
    take_news();
    const std::int64_t now = coarse_now();
    const std::vector<std::string> files(open_.begin(), open_.end());
    for (const std::string& file : files) {
        const auto entry = entries_.find(file);
        if (now - entry->second.used_ns > k_second || !is_still(file, entry->second.kept->identity))
            drop(entry);
    }
    return has_open();
}

}  // namespace quicken::http
