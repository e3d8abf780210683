// A thread for work on files that would hold the loop up.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace quicken::http {

/// Runs a function on the loop's thread, soon; from any thread. As Server::post().
using Post = std::function<void(std::function<void()>)>;

/// Starts with its first job; has all signals blocked, which are for the program's own threads. In the child
/// of a fork it does not exist: nothing there may call it.
class Helper {
 public:
    using Job = std::function<void(const std::atomic<bool>& stop)>;

    Helper() = default;
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;
    /// Jobs that have not begun are dropped; the one that runs is told to stop and waited for.
    ~Helper();

    /// In the order given. A job must not throw. Throws std::system_error if there can be no thread.
    void run(Job job);

 private:
    void work();

    std::mutex mutex_;
    std::condition_variable news_;
    std::deque<Job> jobs_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace quicken::http
