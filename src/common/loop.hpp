// sd-event with callbacks that are C++ functions and sources that somebody owns.
//
// A callback may destroy any source, its own included. An exception in a callback is complained about and the
// loop goes on: one bad client must not end the server of the others.
// Does not survive fork(2): a child must exec or _exit.
#pragma once

#include <systemd/sd-event.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace quicken {

/// A registration in the loop; ends with its owner.
class Source {
 public:
    Source() = default;
    explicit operator bool() const { return state_ != nullptr; }
    void reset() { state_.reset(); }
    void enable(bool on) const;
    /// At most `calls` in `seconds`; what is ready beyond them waits.
    void limit(double seconds, unsigned calls) const;

    struct State;

 private:
    friend class Loop;
    explicit Source(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
};

class Loop {
 public:
    /// Gets the texts of exceptions that come out of callbacks.
    using Complain = std::function<void(const char*)>;
    explicit Loop(Complain complain);
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// `events` are EPOLL* bits; the callback gets those that came. The fd stays the caller's.
    Source on_io(int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback);
    /// Once, in `seconds`.
    Source after(double seconds, std::function<void()> callback);
    /// The signal must be blocked.
    Source on_signal(int signal, std::function<void()> callback);

    /// Runs until exit(); returns its argument.
    int run();
    void exit(int status);
    sd_event* get() const { return event_; }

 private:
    std::shared_ptr<Source::State> make_state() const;

    std::shared_ptr<Complain> complain_;
    sd_event* event_ = nullptr;
};

}  // namespace quicken
