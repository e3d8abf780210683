#include "history.hpp"

#include <chrono>
#include <utility>

namespace quicken::server {

namespace {

constexpr std::size_t k_kept = 10;

}  // namespace

void History::add(std::string reason) {
    using namespace std::chrono;
    const auto now = duration_cast<microseconds>(system_clock::now().time_since_epoch());
    events_.push_front({static_cast<std::uint64_t>(now.count()), std::move(reason)});
    if (events_.size() > k_kept) events_.pop_back();
}

}  // namespace quicken::server
