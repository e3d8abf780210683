#include "freshness.hpp"

#include <utility>

#include "log.hpp"

namespace quicken::server {

namespace {

constexpr int k_rounds = 4;  // of placing watches while paths change

}  // namespace

/// Events that come while watches are placed may tell that they are placed wrongly already.
std::optional<std::string> Freshness::place_and_compare() {
    for (int round = 0; round < k_rounds; ++round) {
        watches_.begin();
        watches_.add(trace_);
        watches_.finish();
        tell_blind();
        const bool moved = watches_.read().paths;
        if (auto changed = trace_.difference()) return changed;
        if (!moved) return std::nullopt;
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
    auto changed = place_and_compare();
    changed_ = changed.has_value();
    if (!changed_) board_.set_doubt(false);
    return changed;
}

Freshness::Seen Freshness::look() {
    board_.set_doubt(true);
    const Watches::Events events = watches_.read();
    Seen seen{events.concern, std::nullopt};
    if (events.concern) seen.changed = trace_.difference();
    if (events.paths && !seen.changed) seen.changed = place_and_compare();
    changed_ = changed_ || seen.changed;
    if (!changed_) board_.set_doubt(false);
    return seen;
}

void Freshness::look_away() {
    away_ = true;
    tell_blind();
    watches_.mute();
}

/// A spare that finds the board not blind any more finds doubt, until all has been compared.
Freshness::Seen Freshness::look_back() {
    board_.set_doubt(true);
    away_ = false;
    const Seen seen{false, place_and_compare()};
    changed_ = changed_ || seen.changed;
    if (!changed_) board_.set_doubt(false);
    return seen;
}

}  // namespace quicken::server
