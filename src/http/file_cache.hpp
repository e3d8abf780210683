// Small files in memory.
//
// Never stale by a change that inotify tells of: find() takes in all that is
// pending before it answers, and the kernel queues an event before the change's system call returns
// (Watches). It costs a read(2) that finds nothing, 0.2 µs of 9; to trust instead that the loop hears inotify
// before a connection would be wrong: epoll gives ready descriptors in no order, and one turn's requests may
// come before its events.
// A file is read after its watch began, and kept only if no event has come until it was read whole.
// For what inotify does not tell (Watches), an entry is compared with stat(2) once
// a second, and files of network file systems are not kept at all.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "http/open_file.hpp"
#include "http/watches.hpp"

namespace quicken::http {

inline constexpr std::uint64_t k_small_file = 64 << 10;  // bytes: at most, to be kept

struct KeptFile {
    FileIdentity identity;
    std::shared_ptr<const std::string> content;
    std::shared_ptr<const std::string> packed;  // gzip, once made; nullptr: not, or it does not pay
    bool packing_tried = false;
    bool allowed = false;  // by the patterns
    std::string etag;
    std::string fields;  // of its answer
    bool varies = false;
};

class FileCache {
 public:
    /// The entry, if it is what is on disk.
    std::shared_ptr<KeptFile> find(const std::string& file);

    /// Reads a small file anew and keeps it if that can be done safely; its content is that of one moment as
    /// far as its writer's is. `opened` is the file; nothing if it cannot be read.
    std::shared_ptr<KeptFile> load(const std::string& file, OpenFile& opened);

    /// Keeps its compressed form beside it, if it is kept itself.
    void keep_packed(const std::string& file, KeptFile& kept, std::shared_ptr<const std::string> packed);
    void clear();

 private:
    struct Entry {
        std::shared_ptr<KeptFile> kept;
        int watch;
        std::int64_t compared_ns;  // monotonic: when its identity was last seen
        std::list<std::string>::iterator age;
    };
    using Entries = std::unordered_map<std::string, Entry>;

    /// True: entries may have gone.
    bool take_news();
    void drop(Entries::iterator entry);
    void add_size(std::uint64_t size);

    Watches watches_;
    Entries entries_;
    std::unordered_multimap<int, std::string> watched_;
    std::list<std::string> ages_;  // of files; the one used last is first
    std::uint64_t size_ = 0;       // bytes, of contents and their compressed forms
    std::vector<int> changed_;
};

}  // namespace quicken::http
