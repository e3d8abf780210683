// See loop.hpp for the argument.
#include "http/loop.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <utility>

namespace quicken::http {
namespace {

namespace asio = boost::asio;

const void* this_thread() {
    thread_local const char self = 0;
    return &self;
}

struct Timer {
    explicit Timer(asio::io_context& context) : timer(context) {}
    asio::steady_timer timer;
    std::function<void()> action;
};

}  // namespace

struct Loop::Guard {
    asio::executor_work_guard<asio::io_context::executor_type> work;
};

Task::~Task() {
    if (queued_ != nullptr) queued_->remove(*this);
}

Loop::Loop()
    : context_(std::make_unique<asio::io_context>()),
      guard_(std::make_unique<Guard>(Guard{asio::make_work_guard(*context_)})) {}

Loop::~Loop() = default;

bool Loop::run() {
    leader_.store(this_thread(), std::memory_order_seq_cst);
    if (context_->stopped()) context_->restart();
    try {
        // A predecessor may have left something in the queue.
        enter();
        leave();
        context_->run();
    } catch (const Deposed&) {
        return false;
    }
    leader_.store(nullptr, std::memory_order_seq_cst);
    return true;
}

void Loop::finish() {
    context_->stop();
}

bool Loop::on_loop() const {
    return leader_.load(std::memory_order_acquire) == this_thread();
}

void Loop::depose() {
    leader_.store(nullptr, std::memory_order_seq_cst);
}

void Loop::post(std::function<void()> action) {
    asio::post(*context_, [this, call = std::move(action)]() mutable {
        enter();
        std::exchange(call, nullptr)();
        leave();
    });
}

std::shared_ptr<void> Loop::after(double seconds, std::function<void()> action) {
    auto state = std::make_shared<Timer>(*context_);
    state->action = std::move(action);
    state->timer.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(seconds)));
    state->timer.async_wait([this, state](boost::system::error_code error) {
        if (error || !state->action) return;
        enter();
        std::exchange(state->action, nullptr)();
        leave();
    });
    return {state.get(), [state](void*) {
                state->action = nullptr;
                state->timer.cancel();
            }};
}

void Loop::wake() {
    if (!inside_) post_leave();
}

void Loop::post_leave() {
    if (std::exchange(posted_, true)) return;
    asio::post(*context_, [this] {
        posted_ = false;
        enter();
        leave();
    });
}

void Loop::soon(Task& task) {
    if (task.queued_ != nullptr) return;
    task.queued_ = this;
    task.before_ = last_;
    task.after_ = nullptr;
    (last_ != nullptr ? last_->after_ : first_) = &task;
    last_ = &task;
    wake();
}

void Loop::soon(std::function<void()> action) {
    actions_.push_back(std::move(action));
    wake();
}

void Loop::remove(Task& task) {
    (task.before_ != nullptr ? task.before_->after_ : first_) = task.after_;
    (task.after_ != nullptr ? task.after_->before_ : last_) = task.before_;
    task.queued_ = nullptr;
    task.before_ = task.after_ = nullptr;
}

bool Loop::run_one_queued() {
    if (!actions_.empty()) {
        const std::function<void()> action = std::move(actions_.front());
        actions_.pop_front();
        action();
        return true;
    }
    if (first_ == nullptr) return false;
    Task& task = *first_;
    remove(task);
    task.run_soon();
    return true;
}

void Loop::leave() {
    // What is queued may queue itself again: a stream whose peer is fast must not keep all others waiting.
    constexpr int k_turn = 64;
    for (int i = 0;; ++i) {
        if (!on_loop()) throw Deposed();
        if (i == k_turn || !run_one_queued()) break;
    }
    inside_ = false;
    if (!actions_.empty() || first_ != nullptr) post_leave();
}

void Loop::settle(const std::function<void()>& last) {
    leader_.store(this_thread(), std::memory_order_seq_cst);
    context_->restart();
    context_->poll();
    enter();
    last();
    leave();
    context_->restart();
    context_->poll();
    leader_.store(nullptr, std::memory_order_seq_cst);
}

}  // namespace quicken::http
