// What inotify(7) is asked to tell, so that whatever changes what a traced
// path leads to is told, and little else.
//
//  a file             its inode: written to, its links or its metadata changed,
//                     moved, deleted. By whatever name that is done: files
//                     that share an inode are common (hard links of caches).
//  on the way to it   every directory and symbolic link: its inode, for being
//                     moved, deleted or replaced. Not the entries beside it:
//                     a home directory's are nobody's business.
//  what is not there  the directory in which the first missing name would be:
//                     entries of that name.
//  a listed directory its entries of the names that were asked for.
//
// An empty directory can be removed while somebody holds it open, and its
// inode then tells nothing (vfs_rmdir of the kernel): one whose entries count
// is watched by its name in its parent as well for as long as it is empty.
//
// Not seen: what is mounted over a path, and what others change in a
// filesystem of another machine. The latter makes us blind.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>

#include "common/fd.hpp"
#include "trace.hpp"

struct inotify_event;

namespace quicken::server {

class Watches {
 public:
    Watches();

    /// -1 if there is no inotify. Its open file may be shared with others who only ask whether events wait.
    int fd() const { return fd_.get(); }
    /// Why some changes are not seen; empty if all are.
    const std::string& blind() const { return blind_; }

    /// Between begin() and finish() all that is to be watched is named; finish() ends the watches of the
    /// rest. Only what is found different after finish() was missed by nobody.
    void begin();
    void add(const Trace& trace);
    void finish();

    struct Events {
        bool concern = false;  // something that is watched for
        bool paths = false;    // and a path may lead elsewhere: watches are to be placed anew
    };
    /// Reads all events that are queued when it is called.
    Events read();
    /// Ends the watches that have told nothing but what concerns nobody, until they are placed anew.
    void mute();
    std::size_t count() const { return watched_.size(); }

 private:
    /// An inode.
    struct Watched {
        std::string path;
        std::set<std::string, std::less<>> names;  // entries that count
        std::set<std::string, std::less<>> stems;
        bool all = false;
        bool from_above = false;  // also watched in its parent, as it is empty
        bool noisy = false;       // has told what concerns nobody
        std::uint64_t round = 0;
    };
    struct Node {
        enum class Kind { missing, directory, other } kind = Kind::missing;
        std::string path;  // without symbolic links
    };

    Node follow(const std::string& path, int links);
    Node look(const Node& parent, const std::string& name, int links);
    Watched* watch(const std::string& path, std::uint32_t mask);
    Watched* watch_entries(const std::string& directory);
    void watch_name(const std::string& directory, const std::string& name);
    void note_filesystem(dev_t device, const std::string& path);
    void go_blind(const std::string& reason);
    static bool concerns(const Watched& watched, const inotify_event& event);
    void note(const inotify_event& event, Events& events);

    Fd fd_;
    std::string blind_;
    std::size_t limit_;
    std::uint64_t round_ = 0;
    std::unordered_map<int, Watched> watched_;  // by watch descriptor
    std::unordered_map<std::string, Node> followed_;
    std::set<dev_t> devices_;
};

}  // namespace quicken::server
