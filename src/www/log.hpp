// Lines to standard error, without waiting for it.
//
// Whoever reads it may be slow, or have stopped: a thread writes, and the loop
// goes on. What cannot be kept is counted and the count written in its place.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "http/helper.hpp"

namespace quicken::www {

class Log {
 public:
    Log() = default;
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    /// Writes what is left.
    ~Log();

    /// Any thread; `line` has no end.
    void add(const std::string& line);

 private:
    struct Pending {
        std::mutex mutex;
        std::string text;
        unsigned dropped = 0;
        bool writing = false;
    };
    static void write(Pending& pending);

    std::shared_ptr<Pending> pending_ = std::make_shared<Pending>();
    http::Helper writer_;
};

/// "[SERVER] " and the line, at once, from the program's own thread.
void say(const std::string& line);

}  // namespace quicken::www
