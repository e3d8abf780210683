// How soon an edit that was made while the script started is heeded.
//
// It may be the script's own: one that writes a module of its own at each start would be started anew for
// ever. Nobody can tell that from a user's edit, so none is left out; but of several in a row, each made
// while the start that the one before had caused went on, all but the first few wait, longer each time. An
// edit made at another time is heeded at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace quicken::serve {

class Echoes {
 public:
    /// A process is being started.
    void begun() {
        over_ = 0;
        heard_ = false;
    }
    /// It serves, or has failed to. `now`: ns since the epoch, as files have it.
    void over(std::int64_t now) { over_ = now; }

    /// Something was edited at `time`: seconds until it may be heeded.
    double pause(std::int64_t time) {
        if (over_ != 0 && time > over_) {
            if (!heard_) count_ = 0;
            return 0;
        }
        if (!std::exchange(heard_, true)) ++count_;  // of one start all echoes are one
        return count_ <= k_at_once
                   ? 0
                   : std::min(k_longest, k_first * (1U << std::min(count_ - k_at_once - 1, 10U)));
    }
    /// The first pause of several.
    bool is_first() const { return count_ == k_at_once + 1; }

 private:
    static constexpr unsigned k_at_once = 4;
    static constexpr double k_first = 1;     // s
    static constexpr double k_longest = 30;  // s

    std::int64_t over_ = 0;  // 0: the start goes on
    unsigned count_ = 0;     // starts in a row with echoes
    bool heard_ = false;     // in this start
};

}  // namespace quicken::serve
