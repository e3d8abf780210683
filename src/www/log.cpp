#include "www/log.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace quicken::www {

namespace {

constexpr std::size_t k_most_pending = 1 << 20;  // bytes
constexpr int k_patience = 1000;                 // milliseconds that a reader may take for a piece

/// What a reader who has stopped does not take is lost; so the end of the program does not wait for him.
void write_error(std::string_view text) {
    while (!text.empty()) {
        pollfd poll{STDERR_FILENO, POLLOUT, 0};
        if (::poll(&poll, 1, k_patience) <= 0) return;
        constexpr std::size_t piece =
            4096;  // a pipe that is ready for writing takes PIPE_BUF without blocking
        const ssize_t size = ::write(STDERR_FILENO, text.data(), std::min(text.size(), piece));
        if (size < 0 && errno != EINTR) return;
        if (size > 0) text.remove_prefix(static_cast<std::size_t>(size));
    }
}

}  // namespace

Log::~Log() {
    write(*pending_);
}

void Log::add(const std::string& line) {
    const std::lock_guard lock(pending_->mutex);
    if (pending_->text.size() + line.size() > k_most_pending) {
        ++pending_->dropped;
        return;
    }
    pending_->text += "[SERVER] " + line + "\n";
    if (pending_->writing) return;
    pending_->writing = true;
    writer_.run([pending = pending_](const std::atomic<bool>&) { write(*pending); });
}

void Log::write(Pending& pending) {
    std::unique_lock lock(pending.mutex);
    while (!pending.text.empty()) {
        std::string text = std::exchange(pending.text, {});
        if (pending.dropped > 0) text += "[SERVER] " + std::to_string(pending.dropped) + " lines were lost\n";
        pending.dropped = 0;
        lock.unlock();
        write_error(text);
        lock.lock();
    }
    pending.writing = false;
}

void say(const std::string& line) {
    write_error("[SERVER] " + line + "\n");
}

}  // namespace quicken::www
