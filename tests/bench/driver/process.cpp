#include "driver/process.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "common/error.hpp"

namespace quicken::bench {
namespace {

/// Pids of what is running, for the signal handler; 0 is a free place.
std::array<std::atomic<pid_t>, 256> running;

std::atomic<pid_t>& note(pid_t pid) {
    for (std::atomic<pid_t>& place : running) {
        pid_t free = 0;
        if (place.compare_exchange_strong(free, pid)) return place;
    }
    throw Error("more clients at once than there is room for");
}

void end_all(int signal) {
    for (const std::atomic<pid_t>& place : running) {
        if (const pid_t pid = place.load(); pid > 0) ::kill(pid, SIGKILL);
    }
    ::_exit(128 + signal);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
    std::vector<char*> found;
    found.reserve(strings.size() + 1);
    // posix_spawn does not write to them; its type is from before const.
    for (const std::string& text : strings) found.push_back(const_cast<char*>(text.c_str()));
    found.push_back(nullptr);
    return found;
}

/// Destroyed with their owner.
class Actions {
 public:
    Actions(const int streams[3], const char* directory) {
        ::posix_spawn_file_actions_init(&actions_);
        for (int fd = 0; fd < 3; ++fd) ::posix_spawn_file_actions_adddup2(&actions_, streams[fd], fd);
        ::posix_spawn_file_actions_addchdir_np(&actions_, directory);
    }
    Actions(const Actions&) = delete;
    Actions& operator=(const Actions&) = delete;
    ~Actions() { ::posix_spawn_file_actions_destroy(&actions_); }
    const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
    posix_spawn_file_actions_t actions_{};
};

}  // namespace

std::int64_t now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Command::Command(const Row& row)
    : row_(&row), arguments_(pointers(row.arguments)), environment_(pointers(row.environment)) {}

Outcome Command::run(const int streams[3]) const {
    const Actions actions(streams, row_->directory.c_str());
    Outcome outcome;
    pid_t pid = 0;
    const std::int64_t start = now();
    const int error =
        ::posix_spawn(&pid, arguments_[0], actions.get(), nullptr, arguments_.data(), environment_.data());
    if (error != 0) throw Error("start", row_->arguments[0], error);
    std::atomic<pid_t>& place = note(pid);
    while (::waitpid(pid, &outcome.status, 0) < 0) {
        if (errno != EINTR) throw_errno("wait for", row_->arguments[0]);
    }
    outcome.nanoseconds = now() - start;
    place.store(0);
    return outcome;
}

void end_children_with_us() {
    struct sigaction action {};
    action.sa_handler = end_all;
    ::sigaction(SIGTERM, &action, nullptr);
    ::sigaction(SIGALRM, &action, nullptr);
}

}  // namespace quicken::bench
