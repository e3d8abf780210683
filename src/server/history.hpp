// What has made the last templates stale, and when.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

namespace quicken::server {

class History {
 public:
    struct Event {
        std::uint64_t time;  // µs, CLOCK_REALTIME
        std::string reason;
    };

    void add(std::string reason);
    /// At most 10, the newest first.
    const std::deque<Event>& events() const { return events_; }
    /// The newest; empty if there was none.
    std::string last() const { return events_.empty() ? std::string() : events_.front().reason; }

 private:
    std::deque<Event> events_;
};

}  // namespace quicken::server
