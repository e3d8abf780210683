#include "serve/voice.hpp"

#include <poll.h>
#include <unistd.h>

namespace quicken::serve {

namespace {

constexpr int k_patience = 500;  // ms for somebody who reads slowly

/// Whoever does not read (a full pipe, a terminal after Ctrl-S) is not to keep us from what we do.
bool is_writable() {
    pollfd output{STDERR_FILENO, POLLOUT, 0};
    return poll(&output, 1, k_patience) > 0;
}

}  // namespace

void Voice::make_room(std::function<void()> before, std::function<void()> after) {
    before_ = std::move(before);
    after_ = std::move(after);
}

void Voice::show(const std::string& line) const {
    if (before_) before_();
    const std::string text = line + "\n";
    // Who does not read what we say cannot be told so either.
    [[maybe_unused]] const ssize_t written =
        is_writable() ? write(STDERR_FILENO, text.data(), text.size()) : 0;
    if (after_) after_();
}

void Voice::say_text(const std::string& text) const {
    show("quicken serve: " + text);
}

}  // namespace quicken::serve
