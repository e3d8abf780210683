#include "serve/line_reader.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace quicken::serve {

namespace {

constexpr std::size_t k_max_line = 60 << 10;  // bytes; what is beyond is not read as a part of it
constexpr int k_burst = 4096;                 // bytes until others have their turn

bool is_ready() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, 0) > 0;
}

/// Of files that are always readable epoll(7) wants to know nothing.
bool is_pollable() {
    struct stat status {};
    return fstat(STDIN_FILENO, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(STDIN_FILENO) != 0);
}

}  // namespace

LineReader::LineReader(Loop& loop, Events events) : loop_(loop), events_(std::move(events)) {}

void LineReader::start() {
    if (std::exchange(wanted_, true)) return;
    wait();
}

void LineReader::stop() {
    wanted_ = false;
    readable_.reset();
}

void LineReader::wait() {
    readable_.reset();  // an fd is registered once
    readable_ = is_pollable() ? loop_.on_io(STDIN_FILENO, EPOLLIN, [this](std::uint32_t) { read(); })
                              : loop_.after(0, [this] { read(); });
}

void LineReader::read() {
    for (int count = 0; wanted_ && count < k_burst && is_ready(); ++count) {
        char byte = 0;
        const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) break;
        if (got == 1 && byte != '\n') {
            if (line_.size() < k_max_line) line_ += byte;
            continue;
        }
        const bool over = got != 1;
        stop();
        // The last line may lack its newline.
        if (!over || !line_.empty()) return events_.line(std::exchange(line_, {}));
        return events_.end();
    }
    if (wanted_) wait();
}

}  // namespace quicken::serve
