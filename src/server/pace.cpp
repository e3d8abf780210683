#include "pace.hpp"

#include <algorithm>

namespace quicken::server {

double Pace::doubled(double pause) {
    return std::min(2 * pause, k_max_pause);
}

void Pace::went_stale(bool used) {
    quiet_ = used ? k_first_quiet : doubled(quiet_);
}

void Pace::still_changing() {
    quiet_ = doubled(quiet_);
}

bool Pace::stale_at_start() {
    if (++stale_starts_ < k_max_stale_starts) return false;
    stale_starts_ = 0;
    return true;
}

double Pace::churn_pause() {
    const double pause = churn_pause_;
    churn_pause_ = doubled(churn_pause_);
    return pause;
}

void Pace::ready(bool after_prelude) {
    stale_starts_ = 0;
    if (after_prelude) churn_pause_ = k_first_churn;
}

bool Pace::doubted() {
    const auto now = std::chrono::steady_clock::now();
    const bool in_a_row = std::chrono::duration<double>(now - last_doubt_).count() < k_vain;
    last_doubt_ = now;
    vain_doubts_ = in_a_row ? vain_doubts_ + 1 : 1;
    if (vain_doubts_ < k_max_vain) return false;
    vain_doubts_ = 0;
    return true;
}

void Pace::learned() {
    learn_pause_ = doubled(learn_pause_);
}

bool Pace::learns_from(std::uint64_t commands) const {
    return commands >= looked_at_learned_ + k_learn_commands;
}

}  // namespace quicken::server
