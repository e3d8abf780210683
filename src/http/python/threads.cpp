// See threads.hpp.
#include "http/python/threads.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <system_error>

#include "common/error.hpp"

namespace quicken::http::python {
namespace {

using std::chrono::milliseconds;

constexpr unsigned k_threads = 200;  // loop, spares, and those in slow handlers
constexpr size_t k_most_spawned = 16;
constexpr milliseconds k_patience{100};  // at the end, with threads in handlers
constexpr size_t k_kept = 2;             // spares that stay for good
constexpr milliseconds k_spare_life{5000};
constexpr milliseconds k_tick{1};        // the monitor's
constexpr int k_quiet_ticks = 20;        // without a call, until the monitor sleeps
constexpr double k_longest_wait = 1e9;   // seconds, of serving()
constexpr milliseconds k_restore{1000};  // without slow calls, until the switch interval is the usual one
constexpr milliseconds k_retry{100};     // after a thread could not be started

enum Phase : std::uint64_t { idle = 0, running = 1, detaching = 2, detached = 3 };
constexpr std::uint64_t k_phase = 3;

constexpr std::uint64_t with(std::uint64_t word, Phase phase) {
    return (word & ~k_phase) | phase;
}

}  // namespace

namespace {
thread_local void* t_runner = nullptr;  // Threads::Runner of this thread
}

Threads::Threads(Server& server, const Settings& settings, Hooks hooks)
    : server_(server),
      settings_(settings),
      hooks_(std::move(hooks)),
      event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_) {
        throw_errno("make", "an eventfd");
    }
}

Threads::~Threads() {
    if (monitor_.joinable()) {
        ending_ = true;
        wake_monitor();
        monitor_.join();
    }
}

void Threads::start() {
    {
        const std::lock_guard lock(mutex_);
        total_ = spawning_ = 2;
    }
    start_monitor();
    hooks_.spawn();
    // The other one by the clerk: a signal's exception here would leave a loop that runs already.
    const std::lock_guard lock(mutex_);
    ++spawn_wanted_;
    clerk_wake_.notify_one();
}

void Threads::start_monitor() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // its thread takes no signals
    try {
        monitor_ = std::thread([this] { monitor(); });
    } catch (const std::system_error&) {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        raise(PyExc_RuntimeError, "there is no thread for the engine");
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Calls on the loop's thread.

void Threads::submit(std::shared_ptr<Work> work) {
    if (!parallel_ || work->is_slow()) {
        enqueue(std::move(work));
    } else if (contention_ > 0) {
        add_to_batch(std::move(work));
    } else if (idle_count_ == 0) {
        enqueue(std::move(work));
    } else {
        run_here(std::move(work));
    }
}

void Threads::run_here(std::shared_ptr<Work> work) {
    Runner& me = *static_cast<Runner*>(t_runner);
    const std::uint64_t word = with(me.call.load(std::memory_order_relaxed) + 4, running);
    me.call = word;
    if (asleep_ != 0) {
        wake_monitor();
    }
    take_lock(me);
    work->run();
    me.state = PyEval_SaveThread();
    work->complete();
    std::uint64_t expected = word;
    if (me.call.compare_exchange_strong(expected, with(word, idle))) {
        work->deliver();
        return;
    }
    me.call.wait(with(word, detaching));
    server_.post([work = std::move(work)] { work->deliver(); });
}

bool Threads::is_full() const {
    return queue_.size() + batch_.size() + serving_.size() >= settings_.max_pending;
}

/// Whether there is a spare for something else than the loop.
bool Threads::may_order() const {
    return idle_.size() > 1 || (idle_.size() == 1 && total_ < k_threads);
}

void Threads::enqueue(std::shared_ptr<Work> work) {
    std::unique_lock lock(mutex_);
    if (is_full()) {
        lock.unlock();
        work->refuse();
        return;
    }
    if (!parallel_) {
        serving_.push_back(std::move(work));
        lock.unlock();
        eventfd_write(event_.get(), 1);
    } else if (queue_.empty() && may_order()) {
        take_spare(Order::call, std::move(work));
    } else {
        queue_.push_back(std::move(work));
        look_after_spares();
    }
}

bool Threads::give_loop_away(Runner& runner, std::uint64_t word) {
    std::unique_lock lock(mutex_);
    if (idle_.empty() || !runner.call.compare_exchange_strong(word, with(word, detaching))) {
        return false;
    }
    Runner* next = idle_.back();
    idle_.pop_back();
    look_after_spares();
    count_apart(1);
    lock.unlock();
    server_.depose();
    on_loop_ = next;
    lock.lock();
    next->order = Order::loop;
    next->wake.notify_one();
    lock.unlock();
    runner.call = with(word, detached);
    runner.call.notify_all();
    return true;
}

void Threads::leave_loop() {
    Runner* me = static_cast<Runner*>(t_runner);
    if (me != nullptr) {
        leave_batch(*me);
    }
    while (me != nullptr) {
        const std::uint64_t word = me->call;
        if ((word & k_phase) != running || give_loop_away(*me, word)) {
            break;
        }
        // No spare at this moment: the clerk makes one, for which it takes Python's lock.
        unlocked([] { std::this_thread::sleep_for(milliseconds(1)); });
    }
    if (me != nullptr) {
        me->call.wait(with(me->call, detaching));
    }
}

// Runners. With mutex_ held where no lock is named.

void Threads::take_spare(Order order, std::shared_ptr<Work> work) {
    Runner* spare = idle_.back();
    idle_.pop_back();
    spare->order = order;
    spare->work = std::move(work);
    spare->wake.notify_one();
    count_apart(1);
    look_after_spares();
}

void Threads::look_after_spares() {
    idle_count_ = static_cast<int>(idle_.size());
    // One more than there is to do now, but not hundreds at once for what may be short.
    const size_t waiting = queue_.size() + (batcher_ == nullptr && !batch_.empty() ? 1 : 0);
    const size_t wanted = idle_.empty() && !ending_ ? std::min(waiting + 1, k_most_spawned) : 0;
    while (spawning_ < wanted && total_ < k_threads) {
        ++total_;
        ++spawning_;
        ++spawn_wanted_;
        clerk_wake_.notify_one();
    }
}

void Threads::count_apart(int delta) {
    apart_ = static_cast<unsigned>(static_cast<int>(apart_) + delta);
    ++changes_;
    if (!short_turns_) {
        clerk_wake_.notify_one();
    }
}

void Threads::add_busy(int delta) {
    const std::lock_guard lock(mutex_);
    busy_ += delta;
    ++changes_;
    clerk_wake_.notify_one();
}

bool Threads::may_take() const {
    return !idle_.empty() || total_ < k_threads;
}

void Threads::work() {
    Runner* me = nullptr;
    PyThreadState* state = PyEval_SaveThread();
    {
        const std::lock_guard lock(mutex_);
        --spawning_;
        if (free_.empty()) {
            me = &runners_.emplace_back();
        } else {
            me = free_.back();
            free_.pop_back();
        }
        me->state = state;
    }
    t_runner = me;
    for (Order order = next_order(*me); order != Order::end; order = next_order(*me)) {
        if (order == Order::call) {
            run_apart(*me);
        } else if (order == Order::batch) {
            run_batch(*me);
        } else {
            run_loop(*me);
        }
    }
    t_runner = nullptr;
    state = me->state;
    {
        const std::lock_guard lock(mutex_);
        free_.push_back(me);
        --total_;
        left_.notify_all();
    }
    attach(state);
}

Threads::Order Threads::next_order(Runner& me) {
    std::unique_lock lock(mutex_);
    if (loop_wanted_) {
        loop_wanted_ = false;
        on_loop_ = &me;
        return Order::loop;
    }
    if (ending_) {
        return Order::end;
    }
    if (batcher_ == nullptr && !batch_.empty() && may_take()) {
        batcher_ = &me;
        count_apart(1);
        look_after_spares();
        return Order::batch;
    }
    if (!queue_.empty() && may_take()) {
        me.work = std::move(queue_.front());
        queue_.pop_front();
        count_apart(1);
        look_after_spares();
        return Order::call;
    }
    return wait_idle(me, lock);
}

Threads::Order Threads::wait_idle(Runner& me, std::unique_lock<std::mutex>& lock) {
    idle_.push_back(&me);
    look_after_spares();
    while (me.order == Order::none) {
        if (idle_.size() <= k_kept) {
            me.wake.wait(lock);
            continue;
        }
        if (me.wake.wait_for(lock, k_spare_life) == std::cv_status::no_timeout || me.order != Order::none) {
            continue;
        }
        // One that give_loop_away() has chosen is idle no more, and hears of it a moment later.
        const auto own = std::find(idle_.begin(), idle_.end(), &me);
        if (idle_.size() > k_kept && own != idle_.end()) {
            idle_.erase(own);
            look_after_spares();
            return Order::end;
        }
    }
    return std::exchange(me.order, Order::none);
}

void Threads::run_loop(Runner& me) {
    const bool ended = server_.run();
    if ((me.call & k_phase) == detached) {
        me.call = with(me.call, idle);
        const std::lock_guard lock(mutex_);
        count_apart(-1);
    } else if (ended) {
        end_loop();
    }
}

void Threads::run_apart(Runner& me) {
    std::shared_ptr<Work> work = std::move(me.work);
    attach(me.state);
    work->run();
    me.state = PyEval_SaveThread();
    work->complete();
    server_.post([work = std::move(work)] { work->deliver(); });
    const std::lock_guard lock(mutex_);
    count_apart(-1);
}

void Threads::end_loop() {
    const std::lock_guard lock(mutex_);
    loop_ended_ = true;
    left_.notify_all();
    eventfd_write(event_.get(), 1);
}

// The monitor: a thread that Python does not know.

void Threads::monitor() {
    Runner* last_runner = nullptr;
    std::uint64_t last_word = 0;
    std::uint64_t last_turn = 0;
    int quiet = 0;
    while (!ending_) {
        Runner* runner = on_loop_;
        const std::uint64_t word = runner == nullptr ? 0 : runner->call.load();
        const bool same = runner == last_runner && word == last_word;
        if (same && (word & k_phase) == running) {
            give_loop_away(*runner, word);
        }
        const std::uint64_t turn = batch_turn_;
        if (turn == last_turn) {
            watch_batch(turn);
        }
        const bool still = same && (word & k_phase) == idle && turn == last_turn && turn % 2 == 0;
        quiet = still ? quiet + 1 : 0;
        last_runner = runner;
        last_word = word;
        last_turn = turn;
        if (quiet < k_quiet_ticks) {
            std::this_thread::sleep_for(k_tick);
        } else {
            monitor_sleep(runner, word, turn);
            quiet = 0;
        }
    }
}

void Threads::monitor_sleep(const Runner* runner, std::uint64_t word, std::uint64_t turn) {
    asleep_ = 1;
    if (!ending_ && batch_turn_ == turn && on_loop_ == runner &&
        (runner == nullptr || runner->call == word)) {
        asleep_.wait(1);
    }
    asleep_ = 0;
}

void Threads::wake_monitor() {
    asleep_ = 0;
    asleep_.notify_one();
}

// The thread in Engine.serve().

std::shared_ptr<Work> Threads::next_serving() {
    const std::lock_guard lock(mutex_);
    if (serving_.empty()) {
        return {};
    }
    std::shared_ptr<Work> work = std::move(serving_.front());
    serving_.pop_front();
    return work;
}

void Threads::wake_serving() {
    eventfd_write(event_.get(), 1);
}

/// A signal between the look at Python's flags and the wait would be slept over. Another thread's is told by
/// `wakeup`; where there is none, this thread's own comes in ppoll(2).
void Threads::wait_event(const Wakeup& wakeup, std::optional<std::chrono::nanoseconds> limit) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (PyErr_CheckSignals() == 0) {
        unlocked([&] {
            std::array<pollfd, 2> wanted{{{event_.get(), POLLIN, 0}, {wakeup.fd(), POLLIN, 0}}};
            const std::int64_t left = std::max<std::int64_t>(limit ? limit->count() : 0, 0);
            const timespec time{left / 1'000'000'000, left % 1'000'000'000};
            ::ppoll(wanted.data(), wanted.size(), limit ? &time : nullptr, &before);
            wakeup.drain();
            eventfd_t count = 0;
            eventfd_read(event_.get(), &count);
        });
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Threads::Left Threads::serving(const std::function<bool()>& failed, const std::function<bool()>& enough,
                               double seconds) {
    using std::chrono::steady_clock;
    const Wakeup wakeup;
    const auto begin = steady_clock::now();
    const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(std::min(seconds, k_longest_wait)));
    for (;;) {
        while (std::shared_ptr<Work> work = next_serving()) {
            work->run();
            if (work->is_large()) {
                unlocked([&] { work->complete(); });
            }
            server_.post([work = std::move(work)] { work->deliver(); });
            if (failed()) {
                throw Raised{};
            }
        }
        if (loop_ended_) {
            return Left::over;
        }
        if (enough()) {
            return Left::enough;
        }
        const std::chrono::nanoseconds left = time - (steady_clock::now() - begin);
        if (seconds >= 0 && left.count() <= 0) {
            return Left::late;
        }
        wait_event(wakeup, seconds < 0 ? std::nullopt : std::make_optional(left));
        if (PyErr_Occurred() != nullptr || PyErr_CheckSignals() != 0) {
            throw Raised{};
        }
    }
}

bool Threads::finish() {
    std::deque<std::shared_ptr<Work>> unserved;
    std::deque<std::shared_ptr<Work>> unbatched;
    bool all = false;
    unlocked([&] {
        std::unique_lock lock(mutex_);
        // The monitor still lives: it gets the loop out of a slow handler.
        left_.wait(lock, [&] { return loop_ended_.load(); });
        ending_ = true;
        clerk_wake_.notify_one();
        for (Runner* spare : std::exchange(idle_, {})) {
            spare->order = Order::end;
            spare->wake.notify_one();
        }
        unserved.swap(parallel_ ? queue_ : serving_);
        unbatched.swap(batch_);
        // A handler that has answered just now is on its way out: a moment for it.
        left_.wait_for(lock, k_patience, [&] { return !clerk_lives_ && total_ <= spawn_wanted_; });
        left_.wait(lock, [&] { return !clerk_lives_ && total_ <= apart_ + spawn_wanted_; });
        all = apart_ == 0;
        lock.unlock();
        wake_monitor();
        monitor_.join();
    });
    return all;
}

// The clerk: what takes Python's lock and must not hold up anybody else.

/// Waits for something to do; false: nothing yet.
bool Threads::clerk_waits(std::unique_lock<std::mutex>& lock) {
    const bool computing = busy_ > 0 || apart_ > 0;
    if (spawn_wanted_ > 0 || (computing && !short_turns_)) {
        return true;
    }
    if (!short_turns_) {
        clerk_wake_.wait(lock);
        return false;
    }
    const std::uint64_t before = changes_;
    return clerk_wake_.wait_for(lock, k_restore) == std::cv_status::timeout && changes_ == before &&
           busy_ <= 0 && apart_ == 0;
}

/// With Python's lock. False: the system has no thread left (pids.max, RLIMIT_AS); those that there are go
/// on.
bool Threads::spawn() {
    try {
        hooks_.spawn();
        starved_ = false;
        return true;
    } catch (const Raised&) {
    }
    if (std::exchange(starved_, true)) {
        PyErr_Clear();  // has been reported
    } else {
        hooks_.starved();
    }
    return false;
}

void Threads::try_later(std::unique_lock<std::mutex>& lock) {
    clerk_wake_.wait_for(lock, k_retry, [this] { return ending_.load(); });
}

void Threads::clerk() {
    PyThreadState* state = PyEval_SaveThread();
    std::unique_lock lock(mutex_);
    clerk_lives_ = true;
    while (!ending_) {
        if (!clerk_waits(lock)) {
            continue;
        }
        unsigned spawns = std::exchange(spawn_wanted_, 0);
        short_turns_ = busy_ > 0 || apart_ > 0;
        const bool turns = short_turns_;
        others_ = turns;
        lock.unlock();
        attach(state);
        hooks_.interval(turns);
        while (spawns > 0 && spawn()) {
            --spawns;
        }
        state = PyEval_SaveThread();
        lock.lock();
        if (spawns > 0) {
            spawn_wanted_ += spawns;
            try_later(lock);
        }
    }
    short_turns_ = others_ = false;
    lock.unlock();
    attach(state);
    hooks_.interval(false);
    state = PyEval_SaveThread();
    lock.lock();
    clerk_lives_ = false;
    left_.notify_all();
    lock.unlock();
    attach(state);
}

}  // namespace quicken::http::python
