// The signals of the supervisor. What was ignored when it was started, as nohup(1) and
// scripts' background commands have it, stays so.
#pragma once

#include <functional>
#include <vector>

#include "common/loop.hpp"
#include "serve/supervisor.hpp"

namespace quicken::serve {

class Signals {
 public:
    /// Blocks them: in front of whatever else is made, but behind the Launch.
    Signals();

    /// `prompt_off` and `prompt_on`: around a stop by the terminal.
    void attach(Loop& loop, Supervisor& supervisor, std::function<void()> prompt_off,
                std::function<void()> prompt_on, std::function<void()> resized);

 private:
    std::vector<int> heeded_;
    std::vector<Source> sources_;
    bool has_terminal_;
};

/// Ends this process as a child of that waitpid(2) status has ended.
[[noreturn]] void end_like(int status);

}  // namespace quicken::serve
