#include "findings.hpp"

#include <fcntl.h>

#include <utility>

namespace quicken::server {

/// What is known of a rung ends where the way down comes to it anew.
void Findings::note(const control::Message& message, const Fd& trace) {
    const bool unfit = message.kind == control::MessageKind::unfit;
    if (!unfit && message.kind != control::MessageKind::ready) return;
    std::erase_if(ladder_, [&](const Finding& each) { return each.rung >= message.rung; });
    Fd copy(trace ? fcntl(trace.get(), F_DUPFD_CLOEXEC, 0) : -1);
    ladder_.push_back({message.rung, unfit ? message.text : "", std::move(copy)});
}

const Finding* Findings::ready() const {
    return !ladder_.empty() && ladder_.back().reason.empty() ? &ladder_.back() : nullptr;
}

std::vector<const Finding*> Findings::given_up() const {
    std::vector<const Finding*> found;
    for (const Finding& each : ladder_) {
        if (!each.reason.empty()) found.push_back(&each);
    }
    return found;
}

}  // namespace quicken::server
