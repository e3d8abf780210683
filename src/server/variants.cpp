#include "variants.hpp"

#include <algorithm>

#include "log.hpp"

namespace quicken::server {

namespace {

constexpr std::size_t k_max_variants = 4;
constexpr std::size_t k_listening_spares = 2;
constexpr std::size_t k_other_spares = 1;
constexpr unsigned k_in_a_row = 8;     // clients passed to one, until it listens
constexpr unsigned k_max_vain = 4;     // variants in a row
constexpr std::uint64_t k_of_use = 2;  // commands
constexpr double k_max_pause = 3600;   // s

}  // namespace

bool Variants::some_is(Variant::State state) const {
    return std::any_of(all_.begin(), all_.end(),
                       [state](const auto& each) { return each->state() == state; });
}

void Variants::listen(Variant* variant) {
    if (listening_ != nullptr) listening_->listen(false);
    listening_ = variant;
    if (listening_ != nullptr) listening_->listen(true);
    used_in_a_row_ = 0;
}

Variant& Variants::add(std::shared_ptr<const Program> program) {
    all_.push_front(std::make_unique<Variant>(common_, owner_, std::move(program)));
    if (listening_ == nullptr) listen(all_.front().get());
    return *all_.front();
}

/// Of one that is dropped: was it worth while?
void Variants::note_use(const Variant& variant) {
    if (variant.pool().commands_run() >= k_of_use) {
        vain_ = 0;
        pause_ = k_first_pause;
    } else if (++vain_ >= k_max_vain) {
        pause();
    }
}

void Variants::pause() {
    vain_ = 0;
    log(Level::info, "no template for clients of another kind for {} s", pause_);
    pause_timer_ = common_.loop.after(pause_, [this] { pause_timer_.reset(); });
    pause_ = std::min(2 * pause_, k_max_pause);
}

void Variants::make_room() {
    std::size_t living = 0;
    Variant* last = nullptr;
    for (const auto& each : all_) {
        if (each->state() == Variant::State::dropped) continue;
        ++living;
        if (each.get() != listening_) last = each.get();
    }
    if (living < k_max_variants || last == nullptr) return;
    note_use(*last);
    last->drop();
}

Variant* Variants::right_for(const Program& program) const {
    for (const auto& each : all_) {
        if (each->difference(program) == nullptr) return each.get();
    }
    return nullptr;
}

bool Variants::used(Variant& variant) {
    const auto place = std::find_if(all_.begin(), all_.end(),
                                    [&variant](const auto& each) { return each.get() == &variant; });
    all_.splice(all_.begin(), all_, place);
    const std::uint64_t run = listening_ != nullptr ? listening_->pool().commands_run() : 0;
    const bool in_a_row = last_used_ == &variant && listening_run_ == run;
    used_in_a_row_ = in_a_row ? used_in_a_row_ + 1 : 1;
    last_used_ = &variant;
    listening_run_ = run;
    if (used_in_a_row_ < k_in_a_row) return false;
    log(Level::info, "the template that was used last takes clients itself from now on");
    listen(&variant);
    return true;
}

void Variants::drop_all() {
    for (const auto& each : all_) {
        if (each->state() != Variant::State::dropped) each->drop();
    }
    listening_ = nullptr;
    used_in_a_row_ = 0;
}

void Variants::purge() {
    for (auto each = all_.begin(); each != all_.end();) {
        if (!(*each)->empty()) {
            ++each;
            continue;
        }
        purged_run_ += (*each)->pool().commands_run();
        each = all_.erase(each);
    }
}

// --- of all of them ---------------------------------------------------------------------

std::vector<pid_t> Variants::commands() const {
    std::vector<pid_t> found;
    for (const auto& each : all_) {
        const std::vector<pid_t> more = each->pool().commands();
        found.insert(found.end(), more.begin(), more.end());
    }
    return found;
}

std::vector<pid_t> Variants::processes() const {
    std::vector<pid_t> found;
    for (const auto& each : all_) {
        const std::vector<pid_t> more = each->pool().processes();
        found.insert(found.end(), more.begin(), more.end());
        if (each->template_pid() > 0) found.push_back(each->template_pid());
    }
    return found;
}

std::size_t Variants::spares() const {
    std::size_t sum = 0;
    for (const auto& each : all_) sum += each->pool().spares();
    return sum;
}

bool Variants::order_outstanding() const {
    return std::any_of(all_.begin(), all_.end(),
                       [](const auto& each) { return each->pool().order_outstanding(); });
}

std::uint64_t Variants::commands_run() const {
    std::uint64_t sum = purged_run_;
    for (const auto& each : all_) sum += each->pool().commands_run();
    return sum;
}

void Variants::drain() {
    for (const auto& each : all_) each->drain();
}

void Variants::order_spares() {
    for (const auto& each : all_)
        each->order_spares(each.get() == listening_ ? k_listening_spares : k_other_spares);
}

void Variants::follow_clients() {
    for (const auto& each : all_) each->follow_clients();
}

bool Variants::retire_spares() {
    bool all = true;
    for (const auto& each : all_) all = each->retire_spares() && all;
    return all;
}

void Variants::settle_orders() {
    for (const auto& each : all_) each->settle_orders();
}

void Variants::await_spares() {
    for (const auto& each : all_) each->await_spares();
}

void Variants::signal_commands(int signal) const {
    for (const auto& each : all_) each->signal_commands(signal);
}

void Variants::child_changed(const siginfo_t& info) {
    for (const auto& each : all_) {
        if (each->owns(info.si_pid)) return each->child_changed(info);
    }
    if (info.si_code == CLD_STOPPED) return;
    for (const auto& each : all_) each->stranger_ended(info.si_pid);
}

void Variants::reclaim_lost() {
    if (!common_.place.listener) return;
    if (!std::all_of(all_.begin(), all_.end(), [](const auto& each) { return each->is_settled(); })) return;
    const auto known = [this](pid_t pid) {
        return std::any_of(all_.begin(), all_.end(), [pid](const auto& each) { return each->owns(pid); });
    };
    for (const auto& each : all_) each->reclaim_lost(known);
}

}  // namespace quicken::server
