// How soon a script's process that has died is started again: at once, but where
// that happens time and again after a pause, which doubles each time until one
// has lasted. So a script that dies of each request goes on to answer the
// others, and one that cannot start costs next to nothing.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>

namespace quicken::serve {

class Restarts {
 public:
    using Time = std::chrono::steady_clock::time_point;

    /// One has died: seconds until the next may be started.
    double pause(Time now) {
        while (!recent_.empty() && now - recent_.front() > k_window) recent_.pop_front();
        recent_.push_back(now);
        if (recent_.size() <= k_at_once) {
            pause_ = 0;
            return 0;
        }
        pause_ = pause_ > 0 ? std::min(2 * pause_, k_longest) : k_first;
        // What keeps dying after pauses is not to have five more for nothing.
        recent_.assign(k_at_once, now + std::chrono::milliseconds(static_cast<long>(pause_ * 1000)));
        return pause_;
    }

 private:
    static constexpr std::chrono::seconds k_window{10};
    static constexpr std::size_t k_at_once = 5;
    static constexpr double k_first = 1;     // s
    static constexpr double k_longest = 30;  // s

    std::deque<Time> recent_;
    double pause_ = 0;
};

}  // namespace quicken::serve
