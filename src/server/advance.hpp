// What the next template imports in advance: on the interpreter rung the
// modules that the prelude has imported, as far as nobody can tell; on both
// what was learned (learned.hpp), later.
//
// A template tries each of them and gives up with those that are left; it is started again with these.
#pragma once

#include <string>
#include <vector>

#include "common/control.hpp"
#include "common/fd.hpp"
#include "learned.hpp"

namespace quicken::server {

class Advance {
 public:
    /// For a program of which nothing is known yet, or no more: before its prelude is run. `requested`: what
    /// a shared interpreter is to import.
    void begin(const std::string& learning_path, const std::vector<std::string>& requested);
    /// A template gave up, with `passed` from it, or -1. True if another one, on the same rung, imports less.
    bool gave_up(const control::Message& message, const Fd& passed);

    /// Of control.hpp: names, separated by blanks.
    std::string modules() const;
    /// "" if learning is off.
    std::string learning() const { return learned_.on() ? learned_.path() : std::string(); }
    /// Whether a template that is made now would import others than begin() has found.
    bool has_learned();

 private:
    void shorten(control::Rung rung);

    Learned learned_;
    bool requested_ = false;
    std::vector<std::string> modules_;
    std::vector<std::string> learned_then_;  // at begin(), and what of it was not refused since
    unsigned tries_ = 0;                     // in a row
};

}  // namespace quicken::server
