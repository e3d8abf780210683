// The threads that run a script's handlers, and the loop among them.
//
// A fast handler runs where its request was read, on the loop's thread: no
// hand-over. All threads are equal: one runs the loop, some wait as spares, the
// others are in slow handlers. When a handler on the loop takes more than a tick of the monitor
// (1 to 2 ms), a spare goes on with the loop, and the handler's thread, when it has its answer, posts it and
// becomes a spare.
//
// Why there is no race. Each thread has one word, call: a number that grows
// with each call, and its phase:
//
//   idle -> running             its own thread, before it asks for Python's lock
//   running -> idle             its own thread, by compare-exchange: it still has the loop and answers there
//   running -> detaching        the monitor, or the thread itself, by compare-exchange under mutex_, and only
//                               if there is a spare, which is taken in the same critical section
//   detaching -> detached       who made it detaching, after Server::depose() and the spare has its order
//   detached -> idle            its own thread, when Server::run() has returned
//
// Either the thread keeps the loop for this call or another has it: exactly one
// compare-exchange from running wins. The number keeps a late monitor from
// hitting the next call. A thread that finds detaching waits for detached (no
// Python, no lock held): so Application::handle() cannot end before depose()
// was called. From then on it touches nothing of the loop's but by Server::post().
//
// The monitor sleeps while nothing is called. A call stores its word, or batch_turn_, and then
// looks whether the monitor sleeps; the monitor says that it sleeps and then
// looks at both (all sequentially consistent): one of the two sees the other.
//
// While another thread computes in Python, each wait for its lock takes the switch interval, longer than most
// handlers do. The loop's thread then waits for it no more: it queues fast calls in batch_, and one runner,
// the batcher, takes the lock, runs what is queued for as long as the others let it (k_turn), gives the lock
// up and posts all answers at once (batch.cpp). This is found out by the time that taking the lock has taken
// (contention_), so a thread that only sleeps, or computes without the lock, changes nothing.
//
// Why nothing in the batch waits for a slow handler, and no answer is lost or given twice: who is the
// batcher, what is queued, what is done and not posted, and batch_turn_, a number that is odd while the
// batcher is in a call and grows at both ends of one, change under mutex_ alone. A monitor that has seen the
// same odd number for a tick takes, in one critical section, if it is still that number, the batch from its
// batcher: posts what is done and orders a spare to go on; without one the next runner that looks for work
// does. A handler that is about to wait (leave_loop()) does the same for itself. A batcher that comes out of
// a call and is not the batcher any more posts this one answer and looks at nothing else of the batch.
// Whoever queues a call while there is a batcher need not wake anybody: the batcher resigns in the critical
// section in which it finds the queue empty. The call in which it is cannot be taken from two: a batcher that
// has resigned or lost the batch gets it anew only by an order or in next_order(), out of any call. Waiting
// for the lock is no call (the number is even).
//
// There is always a spare, or one is being made (by the clerk, since it takes Python's lock), or the
// limit is reached. With no spare at hand nothing is called on the loop, it is
// queued: the loop never depends on a script. At the limit the last spare is kept for the loop.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/fd.hpp"
#include "http/python/python.hpp"
#include "http/python/wakeup.hpp"
#include "http/server.hpp"

namespace quicken::http::python {

/// A call into the script. Holds no reference to Python's objects outside of run().
class Work {
 public:
    virtual ~Work() = default;
    /// With Python's lock, on any thread; leaves no error set.
    virtual void run() = 0;
    /// After run(), on the same thread, without Python's lock: what else may take long. As in run(), the loop
    /// may be another thread's when it returns.
    virtual void complete() {}
    /// complete() would take so long that Python's lock is better given up for it. Else it may be left to
    /// deliver().
    virtual bool is_large() const { return false; }
    /// On the loop's thread, after run(). What belongs to the loop is let go of here.
    virtual void deliver() = 0;
    /// Instead of both, on the loop's thread: too many wait.
    virtual void refuse() = 0;
    /// Its last calls were slow: it is better not run on the loop's thread.
    virtual bool is_slow() const = 0;
};

class Threads {
 public:
    /// What is done with Python's lock held by the clerk.
    struct Hooks {
        std::function<void()> spawn;    // starts a Python thread that calls work(), or Raised
        std::function<void()> starved;  // says so, and clears Python's error
        std::function<void(bool short_turns)> interval;  // sets the interpreter's switch interval
    };
    Threads(Server& server, const Settings& settings, Hooks hooks);
    ~Threads();

    /// Starts the loop and a spare; with Python's lock. Raised: none could be made.
    void start();
    /// Bodies of Python threads; with Python's lock held at both ends.
    void work();
    void clerk();

    /// Loop's thread: runs it here or elsewhere. The caller touches nothing of the loop's afterwards.
    void submit(std::shared_ptr<Work> work);
    /// One call at a time, on the thread that calls serving().
    void set_parallel(bool parallel) { parallel_ = parallel; }
    /// With Python's lock: if this thread has the loop, gives it to another, so that it may wait.
    void leave_loop();
    void add_busy(int delta);

    /// Why serving() has been left.
    enum class Left { over, enough, late };
    /// The thread in Engine.serve(): handles signals and runs calls until the loop has ended, or there is
    /// enough, which it looks at when woken, or for so many seconds (< 0: no limit). With Python's
    /// lock. Throws Raised for what a signal handler raised; `failed` says that a call left an error behind.
    Left serving(const std::function<bool()>& failed, const std::function<bool()>& enough, double seconds);
    void wake_serving();
    /// After the loop has ended: no more calls, spares end. Waits for all threads but those in handlers.
    /// With Python's lock. False: some are.
    bool finish();
    bool loop_ended() const { return loop_ended_; }

 private:
    enum class Order { none, loop, call, batch, end };
    struct Runner {
        std::atomic<std::uint64_t> call{0};  // number << 2 | phase
        std::condition_variable wake;
        Order order = Order::none;
        std::shared_ptr<Work> work;
        PyThreadState* state = nullptr;
    };

    using Works = std::vector<std::shared_ptr<Work>>;
    void run_here(std::shared_ptr<Work> work);
    void run_apart(Runner& me);
    void run_loop(Runner& me);
    void enqueue(std::shared_ptr<Work> work);
    bool is_full() const;
    bool may_order() const;
    bool give_loop_away(Runner& runner, std::uint64_t word);
    Order next_order(Runner& me);
    Order wait_idle(Runner& me, std::unique_lock<std::mutex>& lock);
    bool may_take() const;
    void take_lock(Runner& me);
    void add_to_batch(std::shared_ptr<Work> work);
    void run_batch(Runner& me);
    std::shared_ptr<Work> next_in_batch(Runner& me, std::shared_ptr<Work>& last, bool more);
    bool stays_batcher(Runner& me);
    void look_after_batch();
    Works pass_batch_on();
    void watch_batch(std::uint64_t seen);
    void leave_batch(Runner& me);
    void post_all(Works works);
    void take_spare(Order order, std::shared_ptr<Work> work);
    void look_after_spares();
    void count_apart(int delta);
    void start_monitor();
    void monitor();
    void monitor_sleep(const Runner* runner, std::uint64_t word, std::uint64_t turn);
    void wake_monitor();
    std::shared_ptr<Work> next_serving();
    void wait_event(const Wakeup& wakeup, std::optional<std::chrono::nanoseconds> limit);
    void end_loop();
    bool clerk_waits(std::unique_lock<std::mutex>& lock);
    bool spawn();
    void try_later(std::unique_lock<std::mutex>& lock);

    Server& server_;
    const Settings& settings_;
    Hooks hooks_;
    std::atomic<bool> parallel_{true};
    std::atomic<bool> loop_ended_{false};
    std::atomic<bool> ending_{false};
    std::atomic<Runner*> on_loop_{nullptr};
    std::atomic<int> idle_count_{0};
    std::atomic<int> asleep_{0};                // the monitor
    std::atomic<bool> others_{false};           // short_turns_, for all
    std::atomic<int> contention_{0};            // the lock has been waited for: calls go into the batch
    std::atomic<std::uint64_t> batch_turn_{0};  // changed with mutex_
    Fd event_;                                  // for serving()
    std::thread monitor_;

    std::mutex mutex_;           // of what follows; never held while Python's lock is asked for
    std::list<Runner> runners_;  // stay until the end: the monitor may look at one at any time
    std::vector<Runner*> free_;  // of threads that have ended
    std::vector<Runner*> idle_;  // the one that came last is taken first
    unsigned total_ = 0;         // runners that live or are being made
    unsigned spawning_ = 0;      // of those, asked for and not begun
    bool loop_wanted_ = true;
    std::deque<std::shared_ptr<Work>> queue_;    // wait for a thread
    std::deque<std::shared_ptr<Work>> batch_;    // wait for the batcher
    Runner* batcher_ = nullptr;                  // runs them, or has the order to
    Works done_;                                 // of the batch, to be posted
    std::deque<std::shared_ptr<Work>> serving_;  // wait for serving()
    unsigned apart_ = 0;                         // runners in a call outside of the loop
    int busy_ = 0;                               // what add_busy() said
    std::uint64_t changes_ = 0;                  // of both
    bool short_turns_ = false;
    bool starved_ = false;  // the clerk's: the last thread could not be started
    unsigned spawn_wanted_ = 0;
    bool clerk_lives_ = false;
    std::condition_variable clerk_wake_;
    std::condition_variable left_;  // a runner or the clerk has ended
};

}  // namespace quicken::http::python
