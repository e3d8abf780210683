#include "serve/voice.hpp"

#include <unistd.h>

namespace quicken::serve {

void Voice::make_room(std::function<void()> before, std::function<void()> after) {
    before_ = std::move(before);
    after_ = std::move(after);
}

void Voice::show(const std::string& line) const {
    if (before_) before_();
    const std::string text = line + "\n";
    // Who does not read what we say cannot be told so either.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (after_) after_();
}

void Voice::say_text(const std::string& text) const {
    show("quicken serve: " + text);
}

}  // namespace quicken::serve
