// Watches files for edits, by inotify(7) on their directories: an editor may write
// a file in place or put another one in its place.
//
// An event only says that it is time to look: once nothing has happened for a
// moment the files are compared with what they were, so that neither a half-written file nor
// one that was only opened is an edit. A file that is missing is one that is
// being replaced: there is nothing to start from it.
//
// What a start failed for want of is not known: a module that could not be imported, or that was not there.
// So after that whatever may be a module, in the directories of what is watched and in packages there, is a
// reason to try again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "common/loop.hpp"

struct inotify_event;

namespace quicken::serve {

class Edits {
 public:
    /// Gets the path of one that has changed, and when: ns since the epoch, as files have it.
    using Edited = std::function<void(const std::string&, std::int64_t)>;
    Edits(Loop& loop, Edited edited);
    Edits(const Edits&) = delete;
    Edits& operator=(const Edits&) = delete;

    /// From now on, too. Paths that are not absolute are of the working directory. False if it, or its
    /// directory, cannot be watched: there are too many, or it does not exist. One that is new here and has
    /// changed after `since` (ns since the epoch, of the clock that files have, CLOCK_REALTIME_COARSE; 0:
    /// never) has been edited.
    bool watch(const std::string& path, std::int64_t since = 0);

    /// A start has failed that began at `since` (ns, the same clock): until expect_known() any module counts.
    void expect_any(std::int64_t since);
    void expect_known() { any_ = false; }

 private:
    /// What an edit changes.
    struct Signature {
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;
        std::int64_t size = -1;  // -1: it is not there
        std::uint64_t inode = 0;
        bool operator==(const Signature&) const = default;
    };

    static Signature look(const std::string& path);
    bool watch_directory(const std::string& directory);
    void read_events();
    bool take(const inotify_event& event);
    bool take_module(const std::string& path, std::uint32_t mask);
    void watch_packages();
    bool replaced(const std::string& path);
    void forget(int number);
    void compare();

    Loop& loop_;
    Edited edited_;
    Fd inotify_;
    std::map<std::string, Signature> files_;
    std::map<std::string, int> directories_;  // inotify's number; -1: it has gone
    std::string module_;                      // or package: of those not in files_ the last one that changed
    bool any_ = false;                        // it counts
    bool module_changed_ = false;             // since the last comparison
    Source readable_;
    Source quiet_;
};

}  // namespace quicken::serve
