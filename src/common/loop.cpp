#include "common/loop.hpp"

#include <cerrno>
#include <exception>
#include <utility>

#include "common/error.hpp"

namespace quicken {

struct Source::State {
    sd_event_source* source = nullptr;
    std::shared_ptr<Loop::Complain> complain;
    std::function<void(std::uint32_t)> callback;

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { sd_event_source_disable_unref(source); }
};

namespace {

/// Holds on to the state, as the callback may destroy its source.
void call(void* data, std::uint32_t events) {
    const auto state = static_cast<Source::State*>(data);
    const auto callback = state->callback;
    const auto complain = state->complain;
    try {
        callback(events);
    } catch (const std::exception& error) {
        (*complain)(error.what());
    }
}

int io_ready(sd_event_source*, int, std::uint32_t events, void* data) {
    call(data, events);
    return 0;
}

int timer_ready(sd_event_source*, std::uint64_t, void* data) {
    call(data, 0);
    return 0;
}

int signal_ready(sd_event_source*, const signalfd_siginfo*, void* data) {
    call(data, 0);
    return 0;
}

std::function<void(std::uint32_t)> without_events(std::function<void()> callback) {
    return [callback = std::move(callback)](std::uint32_t) { callback(); };
}

void check(int result, const char* attempt) {
    if (result < 0) throw Error(attempt, "the event loop", -result);
}

}  // namespace

void Source::enable(bool on) const {
    if (state_ != nullptr) sd_event_source_set_enabled(state_->source, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

void Source::limit(double seconds, unsigned calls) const {
    const auto microseconds = static_cast<std::uint64_t>(seconds * 1e6);
    check(sd_event_source_set_ratelimit(state_->source, microseconds, calls), "limit a source of");
}

Loop::Loop(Complain complain) : complain_(std::make_shared<Complain>(std::move(complain))) {
    check(sd_event_new(&event_), "make");
}

Loop::~Loop() {
    sd_event_unref(event_);
}

std::shared_ptr<Source::State> Loop::make_state() const {
    auto state = std::make_shared<Source::State>();
    state->complain = complain_;
    return state;
}

Source Loop::on_io(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback) {
    auto state = make_state();
    state->callback = std::move(callback);
    check(sd_event_add_io(event_, &state->source, fd, events, io_ready, state.get()), "add an fd to");
    return Source(std::move(state));
}

Source Loop::after(double seconds, std::function<void()> callback) {
    auto state = make_state();
    state->callback = without_events(std::move(callback));
    const auto microseconds = static_cast<std::uint64_t>(seconds * 1e6);
    check(sd_event_add_time_relative(event_, &state->source, CLOCK_MONOTONIC, microseconds, 1000, timer_ready,
                                     state.get()),
          "add a timer to");
    return Source(std::move(state));
}

Source Loop::on_signal(int signal, std::function<void()> callback) {
    auto state = make_state();
    state->callback = without_events(std::move(callback));
    check(sd_event_add_signal(event_, &state->source, signal, signal_ready, state.get()), "add a signal to");
    return Source(std::move(state));
}

int Loop::run() {
    const int status = sd_event_loop(event_);
    check(status, "run");
    return status;
}

void Loop::exit(int status) {
    sd_event_exit(event_, status);
}

}  // namespace quicken
