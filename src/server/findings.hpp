// What the last templates have told of themselves at their fork point, or when they gave up: for people, so
// it is kept as it was sent and read only when somebody asks (explain.hpp).
#pragma once

#include <string>
#include <vector>

#include "common/control.hpp"
#include "common/fd.hpp"

namespace quicken::server {

struct Finding {
    control::Rung rung;
    std::string reason;  // why it has given up; empty if it has not
    Fd trace;            // memfd (common/trace.hpp), if there was one
};

class Findings {
 public:
    /// `ready` and `unfit` are kept, with a copy of `trace`: one for each rung, of the last way down the
    /// ladder.
    void note(const control::Message& message, const Fd& trace);

    /// Of the last template that was ready; nullptr if none was since the last one gave up.
    const Finding* ready() const;
    /// Of the rungs above it.
    std::vector<const Finding*> given_up() const;

 private:
    std::vector<Finding> ladder_;  // from the top
};

}  // namespace quicken::server
