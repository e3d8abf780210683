// The loop, and which thread it belongs to.
//
// One thread leads: it runs Asio's context, and all state of the engine is its
// own, without locks. A callback that calls a script's code may take long; then
// depose() makes another thread the leader while the first is still inside that
// call. This is safe because of four rules:
//
//  1. What may be deposed is called in tail position: between the call's return
//     and the return to Asio nothing but deposed() is looked at. Connections
//     keep what is to come next in this object's queue, never on the stack.
//  2. When the thread comes back and finds that it does not lead, it leaves by an
//     exception, which takes it out of io_context::run() whatever else is
//     queued. Asio's own frames are made for that: any number of threads may be
//     in run(), and a handler may throw.
//  3. Asio's queue that is private to a thread holds only what that thread's
//     present handler has posted as a continuation of itself. No handler of
//     ours does: they only wait for readiness, which is no continuation. What the
//     reactor found ready for other connections is in the shared queue before
//     the first of its handlers runs (scheduler::do_run_one, task_cleanup).
//  4. Handlers hold plain pointers. Their destruction, which happens on the
//     thread that was deposed, counts nothing and frees nothing of the engine.
//     What an action of post() or after() holds goes before leave(), while the
//     thread still leads: it may be the end of a Stream.
//
// The new leader sees what the old one has written: the caller of depose()
// synchronises with the call that it deposes (server.hpp), and this with run().
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace quicken::http {

/// Something that the loop is to go on with once nothing is on the stack. Taken out of the queue by its end.
class Task {
 public:
    Task() = default;
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    virtual void run_soon() = 0;

 protected:
    ~Task();

 private:
    friend class Loop;
    class Loop* queued_ = nullptr;
    Task* before_ = nullptr;
    Task* after_ = nullptr;
};

class Loop {
 public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// False: deposed. True: finish() was called.
    bool run();
    void finish();
    bool on_loop() const;
    void depose();

    void post(std::function<void()> action);
    std::shared_ptr<void> after(double seconds, std::function<void()> action);

    /// Loop's thread: runs it after what is on the stack has returned; once, however often this is called.
    void soon(Task& task);
    void soon(std::function<void()> action);

    /// Around every callback of Asio that is the engine's. leave() goes on with what is queued, for a while,
    /// and throws if this thread has been deposed: nothing may follow it.
    void enter() { inside_ = true; }
    void leave();

    /// At the end, as the leader: what has been posted, `last`, and the handlers of all that it has
    /// cancelled. No thread may be in run().
    void settle(const std::function<void()>& last);

    boost::asio::io_context& context() { return *context_; }

 private:
    friend class Task;
    struct Guard;
    struct Deposed {};

    void wake();
    void post_leave();
    void remove(Task& task);
    bool run_one_queued();

    std::unique_ptr<boost::asio::io_context> context_;
    std::unique_ptr<Guard> guard_;
    std::atomic<const void*> leader_ = nullptr;  // an address of that thread alone
    bool inside_ = false;                        // leave() is still to come
    bool posted_ = false;                        // it is posted
    Task* first_ = nullptr;
    Task* last_ = nullptr;
    std::deque<std::function<void()>> actions_;
};

}  // namespace quicken::http
