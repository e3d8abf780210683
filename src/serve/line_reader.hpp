// Lines of standard input that is no terminal, for the prompt's commands.
//
// Byte by byte, as a shell reads its script: what follows a command's line is
// the command's own standard input.
#pragma once

#include <functional>
#include <string>

#include "common/loop.hpp"

namespace quicken::serve {

class LineReader {
 public:
    struct Events {
        std::function<void(const std::string&)> line;  // without its newline
        std::function<void()> end;
    };

    LineReader(Loop& loop, Events events);

    /// Reads one line, and calls `line` or `end` once.
    void start();
    void stop();

 private:
    void wait();
    void read();

    Loop& loop_;
    Events events_;
    std::string line_;
    Source readable_;
    bool wanted_ = false;
};

}  // namespace quicken::serve
