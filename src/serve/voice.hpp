// What the supervisor says to who has started it: lines on standard error that
// begin with "quicken serve: ". A prompt that is shown there makes room first.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>

namespace quicken::serve {

class Voice {
 public:
    /// Called before and after each line.
    void make_room(std::function<void()> before, std::function<void()> after);
    void say_text(const std::string& text) const;
    /// A line as it is, without whose it is.
    void show(const std::string& line) const;

    template <typename... Arguments>
    void say(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
        say_text(fmt::format(format, std::forward<Arguments>(arguments)...));
    }

 private:
    std::function<void()> before_;
    std::function<void()> after_;
};

}  // namespace quicken::serve
