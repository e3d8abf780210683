#include "serve/idle.hpp"

#include <algorithm>
#include <utility>

namespace quicken::serve {

namespace {

constexpr double k_shortest = 0.05;  // seconds
constexpr double k_busy = 5;         // seconds until somebody who is there may have gone

}  // namespace

Idle::Idle(Loop& loop, double seconds, std::function<bool(const nlohmann::json&)> tell)
    : loop_(loop), seconds_(seconds), tell_(std::move(tell)) {}

void Idle::serving() {
    ask_in(seconds_);
}

/// A question that is lost, as the process ends meanwhile, is followed by serving().
void Idle::ask_in(double seconds) {
    if (seconds_ <= 0) return;
    next_ = loop_.after(std::max(seconds, k_shortest), [this] {
        if (!tell_({{"do", "activity?"}})) ask_in(k_busy);
    });
}

void Idle::said(const nlohmann::json& message) {
    if (seconds_ <= 0) return;
    const std::string action = message.value("do", "");
    if (action == "busy") return ask_in(std::min(seconds_, k_busy));
    if (action != "activity") return;
    const bool anybody =
        message.value("answering", 0) + message.value("connections", 0) + message.value("workers", 0) > 0;
    const double left = seconds_ - message.value("seconds_idle", 0.0);
    if (anybody || left > 0) return ask_in(anybody ? std::min(seconds_, k_busy) : left);
    tell_({{"do", "idle"}});
}

}  // namespace quicken::serve
