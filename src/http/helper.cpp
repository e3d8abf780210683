#include "http/helper.hpp"

#include <pthread.h>
#include <signal.h>

namespace quicken::http {

Helper::~Helper() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    news_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Helper::run(Job job) {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
        sigset_t all;
        sigset_t old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        try {
            thread_ = std::thread([this] { work(); });
        } catch (...) {
            pthread_sigmask(SIG_SETMASK, &old, nullptr);
            throw;
        }
        pthread_sigmask(SIG_SETMASK, &old, nullptr);
    }
    jobs_.push_back(std::move(job));
    news_.notify_one();
}

void Helper::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        news_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
        if (stop_) return;
        const Job job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job(stop_);
        lock.lock();
    }
}

}  // namespace quicken::http
