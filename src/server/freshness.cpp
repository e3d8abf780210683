#include "freshness.hpp"

#include <utility>

#include "log.hpp"

namespace quicken::server {

namespace {

constexpr int k_rounds = 4;  // of placing watches while paths change

}  // namespace

/// With `place`, also whether it stays so once all paths are watched as they are now.
std::optional<std::string> Freshness::compare(bool place) {
    for (int round = 0; round < k_rounds; ++round) {
        if (auto changed = trace_.difference()) return changed;
        if (!place) return std::nullopt;
        watches_.begin();
        watches_.add(trace_);
        watches_.finish();
        tell_blind();
        place = watches_.read().paths;
    }
    return "a directory that a file is found by keeps changing";
}

void Freshness::tell_blind() {
    board_.set_blind(away_ || !blind().empty());
    if (!blind().empty() && blind() != told_blind_) {
        log(Level::warning, "changes are not told, every run looks at all files: {}", blind());
    }
    told_blind_ = blind();
}

std::optional<std::string> Freshness::begin(Trace trace) {
    board_.set_doubt(true);
    trace_ = std::move(trace);
    watches_.read();
    auto changed = compare(true);
    changed_ = changed.has_value();
    if (!changed_) board_.set_doubt(false);
    return changed;
}

void Freshness::forget() {
    begin({});
}

Freshness::Seen Freshness::look() {
    if (away_) return {};
    board_.set_doubt(true);
    const Watches::Events events = watches_.read();
    Seen seen{events.concern, std::nullopt};
    if (events.concern) seen.changed = compare(events.paths);
    changed_ = changed_ || seen.changed;
    if (!changed_) board_.set_doubt(false);
    return seen;
}

void Freshness::look_away() {
    away_ = true;
    tell_blind();
}

/// Doubt comes before sight: a spare has either itself looked or is in doubt.
void Freshness::look_back() {
    board_.set_doubt(true);
    away_ = false;
    tell_blind();
}

}  // namespace quicken::server
