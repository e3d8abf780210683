// What two plain runs and several quickened ones have in common. What differs between the plain ones as well
// is nobody's fault: a clock, a pid.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ctl/trial.hpp"

namespace quicken::ctl {

/// What of a run is compared: "ending", "standard output", "file NAME", ... and their content.
using Facts = std::map<std::string, std::string>;

class Comparison {
 public:
    Comparison(const Outcome& first, const Outcome& second);

    /// A quickened run.
    void add(unsigned run, const Outcome& outcome);

    bool equal() const { return differences_.empty(); }
    /// For people: what differs, with an excerpt of each; empty if nothing does.
    std::string text() const;

 private:
    struct Difference {
        std::string text;  // of the first run that has it
        std::vector<unsigned> runs;
    };

    bool is_name_by_chance(const std::string& key) const;

    Facts first_, second_;  // plain
    std::map<std::string, Difference> differences_;
    std::set<std::string> by_chance_;
};

}  // namespace quicken::ctl
