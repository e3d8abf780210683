// inotify(7) on files and on all that their paths lead through.
//
// A path means another file when a directory or a symbolic link on its way is
// renamed, removed or replaced. Each of those that happens to an inode is an event of that inode itself
// (IN_MOVE_SELF, IN_DELETE_SELF; IN_ATTRIB, its link count, if another name is renamed
// over it). So every directory and link from the root down is watched for events of its own, not for
// those of its other children: the file system's noise is not heard.
//
// The kernel queues an event before the system call that made the change returns.
// Who reads the queue has therefore heard of every change whose maker has gone on. Not heard
// of: writes through a shared mapping, mounts over a directory, changes that another machine makes to
// a network file system; see FileCache for those.
//
// Fork safety: two processes must not share a queue, so it is made by the first
// watch, in the process that serves; a child of that one must not use it.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "common/fd.hpp"

namespace quicken::http {

class Watches {
 public:
    struct Watched {
        int watch = -1;    // of the file; -1: it cannot be watched, or is none
        std::string real;  // its path without symbolic links, when the watch began
    };
    /// Watches an absolute path. Whoever opens it after this and finds it to be `real`'s file is told of
    /// every later change.
    Watched add(const std::string& file);
    void remove(int watch);

    /// Takes in what is pending, without waiting: watches of files that changed. False: any path may mean
    /// something else now, or events were lost: reset() is next.
    bool read(std::vector<int>& changed);
    /// Begins anew, without any watch.
    void reset();

 private:
    bool add_way(const std::string& path, unsigned mask);

    Fd inotify_;
    std::unordered_set<int> ways_;  // watches of directories and links; few, kept until reset()
};

}  // namespace quicken::http
