// How many spares are kept beyond those that always are: more when clients
// come faster than spares are made, and half as many after each while in which
// they did not. Several clients at once then find one each; a spare costs
// some MB.
#pragma once

#include <chrono>
#include <cstddef>

namespace quicken::server {

class Demand {
 public:
    using Clock = std::chrono::steady_clock;

    /// A client has taken the last spare. Once is no demand: it may have been the first for an hour.
    void ran_out(Clock::time_point now);
    /// Nobody has taken the last one for k_ebb.
    void ebb() { more_ /= 2; }
    std::size_t more() const { return more_; }

    static constexpr double k_ebb = 5;       // s
    static constexpr double k_pause = 0.01;  // s before one more is made

 private:
    static constexpr std::size_t k_most = 6;
    static constexpr double k_in_a_row = 0.5;  // s

    std::size_t more_ = 0;
    Clock::time_point last_;
};

}  // namespace quicken::server
