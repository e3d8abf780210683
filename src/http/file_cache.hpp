// Files whose answers need no look at the disk: small ones in memory, of larger
// ones the open descriptor.
//
// Never stale by a change that inotify tells of: find() takes in all that is
// pending before it answers, and the kernel queues an event before the change's system call returns
// (Watches). It costs a read(2) that finds nothing, 0.2 us of 9; to trust instead that the loop hears inotify
// before a connection would be wrong: epoll gives ready descriptors in no order, and one turn's requests may
// come before its events. A file is opened and read after its watch began, and dropped if an event has come
// until it was read whole. For what inotify does not tell (Watches), an entry is compared with stat(2) once
// a second, and files of network file systems are not kept at all.
// An open descriptor keeps a deleted file's blocks and a file system from being unmounted: who has
// entries with one calls close_unused() each second.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "http/open_file.hpp"
#include "http/watches.hpp"

namespace quicken::http {

inline constexpr std::uint64_t k_small_file = 64 << 10;  // bytes: at most, to be kept

struct KeptFile {
    FileIdentity identity;
    std::shared_ptr<const std::string> content;  // of a small file
    std::shared_ptr<const Fd> fd;                // of a larger one
    std::shared_ptr<const std::string> packed;   // gzip, once made; nullptr: not, or it does not pay
    bool packing_tried = false;
    bool allowed = false;  // by the patterns
    std::string etag;      // empty: not known yet
    std::string fields;    // of its answer, with the tag
    bool varies = false;
    std::string type;
};

class FileCache {
 public:
    /// The entry, if it is what is on disk.
    std::shared_ptr<KeptFile> find(const std::string& file);

    /// Opens and reads a file anew, and keeps it if that can be done safely; content is that of one moment as
    /// far as its writer's is. nullptr: there is no regular file any more, says `kind`.
    std::shared_ptr<KeptFile> load(const std::string& file, FileKind& kind);

    /// Drops open files that nobody has asked for in the last second, or that are not there any more. False:
    /// none is left.
    bool close_unused();
    bool has_open() const { return !open_.empty(); }

    /// Keeps its compressed form beside it, if it is kept itself.
    void keep_packed(const std::string& file, KeptFile& kept, std::shared_ptr<const std::string> packed);
    void clear();

 private:
    struct Entry {
        std::shared_ptr<KeptFile> kept;
        int watch;
        std::int64_t compared_ns;  // monotonic: when its identity was last seen
        std::int64_t used_ns;      // monotonic
        std::list<std::string>::iterator age;
    };
    using Entries = std::unordered_map<std::string, Entry>;

    /// True: entries may have gone.
    bool take_news();
    void drop(Entries::iterator entry);
    void keep(const std::string& file, const std::shared_ptr<KeptFile>& kept, int watch);
    void make_room();

    Watches watches_;
    Entries entries_;
    std::unordered_multimap<int, std::string> watched_;
    std::list<std::string> ages_;           // of files; the one used last is first
    std::unordered_set<std::string> open_;  // files of entries with a descriptor
    std::uint64_t size_ = 0;                // bytes, of contents in memory and their compressed forms
    std::vector<int> changed_;
};

}  // namespace quicken::http
