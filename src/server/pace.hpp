// How soon another template is made, where nothing but time decides: each
// pause doubles while what it waits for does not come, so that files which
// always change, and a prelude that changes them itself, cost next to nothing.
#pragma once

#include <chrono>
#include <cstdint>

namespace quicken::server {

class Pace {
 public:
    /// s without changes before a template is made that nobody waits for.
    double quiet() const { return quiet_; }
    /// A template was dropped for a change; `used`: a command had run from it.
    void went_stale(bool used);
    /// There was another change before `quiet` was over.
    void still_changing();

    /// A template was not right any more when it was ready. True if that is so again and again.
    bool stale_at_start();
    /// s for which the prelude is left alone then.
    double churn_pause();

    void ready(bool after_prelude);

    /// A spare had a doubt. True if doubts follow so close on one another that spares should look themselves.
    bool doubted();

    /// s without commands before what they have noted of late imports is looked at.
    double learn_pause() const { return learn_pause_; }
    /// It was worth while: the next time later.
    void learned();
    /// Enough of `commands` have run since the last look.
    bool learns_from(std::uint64_t commands) const;
    void looked_at_learned(std::uint64_t commands) { looked_at_learned_ = commands; }

 private:
    static constexpr double k_first_quiet = 0.2;  // s
    static constexpr double k_first_churn = 10;   // s
    static constexpr double k_max_pause = 3600;   // s
    static constexpr double k_vain = 1;           // s
    static constexpr unsigned k_max_vain = 3;     // doubts, each within k_vain of the one before
    static constexpr unsigned k_max_stale_starts = 3;
    static constexpr std::uint64_t k_learn_commands = 3;

    static double doubled(double pause);

    double quiet_ = k_first_quiet;
    double churn_pause_ = k_first_churn;
    double learn_pause_ = 1;
    unsigned stale_starts_ = 0;
    unsigned vain_doubts_ = 0;
    std::chrono::steady_clock::time_point last_doubt_;
    std::uint64_t looked_at_learned_ = 0;  // commands run then
};

}  // namespace quicken::server
