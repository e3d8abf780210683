#include "advance.hpp"

#include <algorithm>
#include <unordered_set>

#include "common/error.hpp"
#include "log.hpp"

namespace quicken::server {

namespace {

constexpr unsigned k_max_tries = 4;
constexpr std::size_t k_max_names = 120U << 10;  // bytes; an argument is less than MAX_ARG_STRLEN, execve(2)

/// Of no trace that can be read: an empty one.
Trace trace_in(const Fd& passed) {
    if (!passed) return {};
    try {
        return Trace::read(passed);
    } catch (const Error& error) {
        log(Level::warning, "{}", error.what());
        return {};
    }
}

void append(std::vector<std::string>& names, const std::vector<std::string>& more) {
    std::unordered_set<std::string> known(names.begin(), names.end());
    for (const std::string& name : more) {
        if (known.insert(name).second) names.push_back(name);
    }
}

}  // namespace

void Advance::begin(const std::string& learning_path, const std::vector<std::string>& requested) {
    tries_ = 0;
    requested_ = !requested.empty();
    learned_ = Learned(learning_path);
    learned_.update();
    learned_then_ = learned_.modules();
    modules_ = requested;
    append(modules_, learned_then_);
}

bool Advance::gave_up(const control::Message& message, const Fd& passed) {
    const Trace trace = trace_in(passed);
    if (message.kind == control::MessageKind::unfit && modules_.empty()) {
        if (message.rung != control::Rung::prelude) return false;
        modules_ = trace.rest().modules;
        append(modules_, learned_then_);
        tries_ = 0;
        return false;
    }
    ++tries_;
    if (message.kind == control::MessageKind::unfit_modules) {
        learned_.refuse(trace.rest().refused);
        learned_then_ = learned_.modules();
        modules_ = trace.rest().modules;
        if (tries_ > k_max_tries) modules_.clear();
    } else {
        shorten(message.rung);
    }
    return true;
}

/// What is wrong cannot be put down to any of them. The first ones are most likely those that many need; a
/// prelude may be unfit by itself.
void Advance::shorten(control::Rung rung) {
    const bool none = (rung == control::Rung::prelude && !requested_) || tries_ > k_max_tries;
    modules_.resize(none ? 0 : modules_.size() / 2);
}

std::string Advance::modules() const {
    std::string names;
    for (const std::string& name : modules_) {
        if (names.size() + name.size() > k_max_names) break;
        names += name + ' ';
    }
    return names;
}

bool Advance::has_learned() {
    if (!learned_.on()) return false;
    learned_.update();
    return learned_.modules() != learned_then_;
}

}  // namespace quicken::server
