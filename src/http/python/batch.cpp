// The batch: fast calls while another thread computes in Python. See threads.hpp.
#include <algorithm>
#include <chrono>

#include "http/python/threads.hpp"

namespace quicken::http::python {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

// Who waits for Python's lock asks for it after the switch interval (0.5 ms), and the holder loses it in the
// middle of a call: so it is given up a little earlier, between two.
constexpr microseconds k_turn{400};
// Half the interval: more than a wait for other short calls.
constexpr microseconds k_long_wait{250};
// After a long wait, so many short ones in a row until all is as usual. Who has just given the lock up often
// has it again before the others are awake, so short ones alone say little.
constexpr int k_contended = 64;

}  // namespace

/// Python's lock, and whether it had to be waited for.
void Threads::take_lock(Runner& me) {
    if (!others_.load(std::memory_order_relaxed)) {
        attach(me.state);
        return;
    }
    const auto before = steady_clock::now();
    attach(me.state);
    const bool waited = steady_clock::now() - before > k_long_wait;
    contention_ = waited ? k_contended : std::max(contention_ - 1, 0);
}

void Threads::add_to_batch(std::shared_ptr<Work> work) {
    std::unique_lock lock(mutex_);
    if (is_full()) {
        lock.unlock();
        work->refuse();
        return;
    }
    batch_.push_back(std::move(work));
    look_after_batch();
}

/// Without a spare the next runner that looks for work takes it.
void Threads::look_after_batch() {
    if (batcher_ != nullptr || batch_.empty()) {
        return;
    }
    if (may_order()) {
        batcher_ = idle_.back();
        take_spare(Order::batch, {});
    } else {
        look_after_spares();
    }
}

void Threads::run_batch(Runner& me) {
    do {
        take_lock(me);
        const auto end = steady_clock::now() + k_turn;
        std::shared_ptr<Work> work;
        bool more = true;
        while (std::shared_ptr<Work> next = next_in_batch(me, work, more)) {
            work = std::move(next);
            work->run();
            if (work->is_large()) {
                unlocked([&] { work->complete(); });
            }
            more = steady_clock::now() < end;
        }
        me.state = PyEval_SaveThread();
        if (work) {
            post_all({std::move(work)});  // it has taken so long that another has the batch
        }
    } while (stays_batcher(me));
    const std::lock_guard lock(mutex_);
    count_apart(-1);
}

/// With Python's lock. Takes `last` unless the batch has been lost in it; nothing: the turn is over.
std::shared_ptr<Work> Threads::next_in_batch(Runner& me, std::shared_ptr<Work>& last, bool more) {
    const std::lock_guard lock(mutex_);
    if (batcher_ != &me) {
        return {};
    }
    if (last) {
        done_.push_back(std::move(last));
        ++batch_turn_;
    }
    if (!more || batch_.empty()) {
        return {};
    }
    std::shared_ptr<Work> next = std::move(batch_.front());
    batch_.pop_front();
    ++batch_turn_;
    if (asleep_ != 0) {
        wake_monitor();
    }
    return next;
}

/// After a turn, without Python's lock: posts its answers. False: there is nothing more to do here.
bool Threads::stays_batcher(Runner& me) {
    std::unique_lock lock(mutex_);
    if (batcher_ != &me) {
        return false;
    }
    if (batch_.empty()) {
        batcher_ = nullptr;
    }
    const bool stays = batcher_ != nullptr;
    Works works = std::exchange(done_, {});
    lock.unlock();
    post_all(std::move(works));
    return stays;
}

/// With mutex_. What is done and is to be posted by the caller.
Threads::Works Threads::pass_batch_on() {
    batch_turn_ += batch_turn_ % 2;
    batcher_ = nullptr;
    look_after_batch();
    return std::exchange(done_, {});
}

/// The monitor: this number has been there for a tick.
void Threads::watch_batch(std::uint64_t seen) {
    if (seen % 2 == 0) {
        return;
    }
    std::unique_lock lock(mutex_);
    if (batch_turn_ == seen) {
        Works works = pass_batch_on();
        lock.unlock();
        post_all(std::move(works));
    }
}

/// With Python's lock, in a call that may wait from now on.
void Threads::leave_batch(Runner& me) {
    std::unique_lock lock(mutex_);
    if (batcher_ == &me) {
        Works works = pass_batch_on();
        lock.unlock();
        post_all(std::move(works));
    }
}

void Threads::post_all(Works works) {
    if (works.empty()) {
        return;
    }
    server_.post([works = std::move(works)] {
        for (const std::shared_ptr<Work>& work : works) {
            work->deliver();
        }
    });
}

}  // namespace quicken::http::python
