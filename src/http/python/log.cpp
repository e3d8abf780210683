// See log.hpp.
#include "http/python/log.hpp"

#include <chrono>

namespace quicken::http::python {
namespace {

constexpr size_t k_most = 4 << 20;  // bytes that wait; more lines are counted instead
constexpr std::chrono::milliseconds k_together{10};
constexpr std::chrono::seconds k_patience{2};  // at the end, with a script that does not take its lines

}  // namespace

void Log::add(std::string line) {
    const std::lock_guard lock(mutex_);
    if (lines_.size() + line.size() > k_most) {
        ++dropped_;
        return;
    }
    if (!lines_.empty()) {
        lines_ += '\n';
    }
    lines_ += line;
    if (waits_) {
        wake_.notify_one();
    }
}

void Log::add(Slow slow) {
    const std::lock_guard lock(mutex_);
    slow_.push_back(std::move(slow));
    wake_.notify_one();
}

/// Waits for something; false: it is the end.
bool Log::take(std::string& lines, std::vector<Slow>& slow) {
    std::unique_lock lock(mutex_);
    waits_ = true;
    wake_.wait(lock, [&] { return ending_ || !lines_.empty() || !slow_.empty(); });
    waits_ = false;
    if (!ending_) {
        wake_.wait_for(lock, k_together, [&] { return ending_; });
    }
    lines = std::exchange(lines_, {});
    slow = std::exchange(slow_, {});
    if (const std::uint64_t dropped = std::exchange(dropped_, 0); dropped > 0) {
        lines.append("\n").append(std::to_string(dropped)).append(" lines are left out here");
    }
    return !lines.empty() || !slow.empty();
}

void Log::work() {
    PyThreadState* state = PyEval_SaveThread();
    {
        const std::lock_guard lock(mutex_);
        lives_ = true;
    }
    std::string lines;
    std::vector<Slow> slow;
    while (take(lines, slow)) {
        attach(state);
        if (!lines.empty()) {
            hooks_.lines(lines);
        }
        for (const Slow& one : slow) {
            hooks_.slow(one);
        }
        state = PyEval_SaveThread();
    }
    {
        const std::lock_guard lock(mutex_);
        lives_ = false;
        left_.notify_all();
    }
    attach(state);
}

void Log::finish() {
    unlocked([&] {
        std::unique_lock lock(mutex_);
        ending_ = true;
        wake_.notify_all();
        left_.wait_for(lock, k_patience, [&] { return !lives_; });
    });
}

}  // namespace quicken::http::python
