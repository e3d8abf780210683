// Whether what the template has read is still what is there.
//
// No change that was made before a client was started is missed:
//  1. inotify(7) queues an event within the system call that makes the change.
//  2. A spare looks after it has taken its client, in this order: events
//     queued? board.doubt? board.stale? With all three in the negative it serves.
//  3. We set doubt before we read the queue, and clear it only when everything
//     has been found as the trace says. So of a change before (2) the spare
//     sees the event in the queue, or, once we have read that, doubt; once
//     doubt is cleared the change was looked at, and the supervisor has set
//     stale before, if it makes a difference.
//  4. What comes while we look is queued, and seen by the next spare as in (2).
// A trace begins with watches, placed before what they watch is compared with
// it: a change before that is found, one after it is queued. The template took
// identities before content, so what it has read is not newer than they are.
//
// Without eyes (no inotify, a limit reached, a filesystem of another machine)
// board.blind has the spares compare everything themselves. So it has for a
// while when unrelated events come so often that clients would be sent from
// spare to spare: no client is ever kept from its command by what does not
// concern it.
#pragma once

#include <optional>
#include <string>

#include "board.hpp"
#include "trace.hpp"
#include "watches.hpp"

namespace quicken::server {

class Freshness {
 public:
    explicit Freshness(Board& board) : board_(board) {}

    /// The shared inotify fd, or -1.
    int fd() const { return watches_.fd(); }

    /// A template is ready that has read this. Returns what has changed since, in words.
    std::optional<std::string> begin(Trace trace);

    struct Seen {
        bool concerned = false;              // something has happened to what was read
        std::optional<std::string> changed;  // and this is different now
    };
    /// Reads the events that wait, and compares if one concerns the trace.
    Seen look();

    /// What told of unrelated things is not watched, and the spares look for themselves, until look_back().
    void look_away();
    Seen look_back();

    /// What is different now, in words.
    std::optional<std::string> difference() const { return trace_.difference(); }

    /// Why changes are not seen; empty if they are.
    const std::string& blind() const { return watches_.blind(); }

 private:
    std::optional<std::string> place_and_compare();
    void tell_blind();

    Board& board_;
    Watches watches_;
    Trace trace_;
    bool changed_ = false;  // found so: doubt is not cleared any more
    bool away_ = false;
    std::string told_blind_;
};

}  // namespace quicken::server
