// What the engine tells a script: log lines and slow requests. A Python thread
// hands it over, so that a request that needs no Python does not take Python's
// lock for its log line. Lines of 10 ms go together.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "http/python/python.hpp"

namespace quicken::http::python {

class Log {
 public:
    struct Slow {
        std::string method;
        std::string path;
        double seconds;
        bool done;
    };
    /// Both are called with Python's lock and leave no error set. `lines` has several lines, without an end.
    struct Hooks {
        std::function<void(const std::string& lines)> lines;
        std::function<void(const Slow&)> slow;
    };
    explicit Log(Hooks hooks) : hooks_(std::move(hooks)) {}

    /// Any thread.
    void add(std::string line);
    void add(Slow slow);
    /// Body of a Python thread, with Python's lock held at both ends; until finish().
    void work();
    /// With Python's lock: what was added is handed over, the thread ends.
    void finish();

 private:
    bool take(std::string& lines, std::vector<Slow>& slow);

    Hooks hooks_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::string lines_;
    std::uint64_t dropped_ = 0;
    std::vector<Slow> slow_;
    bool waits_ = false;
    bool ending_ = false;
    bool lives_ = false;
    std::condition_variable left_;
};

}  // namespace quicken::http::python
