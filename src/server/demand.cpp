#include "demand.hpp"

namespace quicken::server {

void Demand::ran_out(Clock::time_point now) {
    const bool in_a_row = std::chrono::duration<double>(now - last_).count() < k_in_a_row;
    last_ = now;
    if (in_a_row && more_ < k_most) ++more_;
}

}  // namespace quicken::server
