// See outlet.hpp.
#include "http/python/outlet.hpp"

#include <chrono>
#include <future>

#include "http/python/relay.hpp"

namespace quicken::http::python {
namespace {

constexpr std::uint64_t k_most_waiting = 1 << 20;       // bytes
constexpr std::chrono::milliseconds k_look_again{100};  // whether the loop has ended meanwhile

}  // namespace

void Outlet::begin(Response head) {
    const auto shared = std::make_shared<Response>(std::move(head));
    site_.server().post([self = shared_from_this(), shared] {
        if (self->exchange_ != nullptr && !self->hijacked_) {
            self->site_.begin(*self->exchange_, std::move(*shared));
        }
    });
}

Outlet::Taken Outlet::write(std::string bytes) {
    if (bytes.empty()) {
        return Taken::yes;
    }
    std::unique_lock lock(mutex_);
    while (!gone_ && !ended_ && !over_ && waiting_ > k_most_waiting) {
        changed_.wait_for(lock, k_look_again);
    }
    if (gone_ || over_) {
        return Taken::gone;
    }
    if (ended_) {
        return Taken::late;
    }
    waiting_ += bytes.size();
    queue_.push_back(std::move(bytes));
    lock.unlock();
    site_.server().post([self = shared_from_this()] { self->pump(); });
    return Taken::yes;
}

void Outlet::pump() {
    if (pumping_ || exchange_ == nullptr) {
        return;
    }
    std::string bytes;
    {
        const std::lock_guard lock(mutex_);
        for (std::string& one : queue_) {
            bytes += one;
        }
        queue_.clear();
    }
    if (!bytes.empty()) {
        pumping_ = true;
        const std::uint64_t size = bytes.size();
        exchange_->write(std::move(bytes), [self = shared_from_this(), size](std::error_code error) {
            self->sent(static_cast<bool>(error), size);
        });
    } else if (ending_) {
        std::exchange(exchange_, nullptr)->end(broken_);
    }
}

void Outlet::sent(bool failed, std::uint64_t size) {
    pumping_ = false;
    {
        const std::lock_guard lock(mutex_);
        waiting_ -= size;
        gone_ = gone_ || failed;
        changed_.notify_all();
    }
    pump();
}

void Outlet::end(bool broken) {
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }
    ending_ = true;
    broken_ = broken;
    if (hijacked_) {
        exchange_.reset();
    } else {
        pump();
    }
}

bool Outlet::hijack(Fd script) {
    auto shared = std::make_shared<Fd>(std::move(script));
    auto taken = std::make_shared<std::promise<bool>>();
    std::future<bool> result = taken->get_future();
    site_.server().post([self = shared_from_this(), shared, taken] {
        std::string buffered;
        std::unique_ptr<Stream> client =
            self->exchange_ != nullptr ? self->exchange_->hijack(buffered) : nullptr;
        self->hijacked_ = self->hijacked_ || client != nullptr;
        taken->set_value(client != nullptr);
        if (client != nullptr) {
            relay(self->site_.server(), std::move(client), std::move(buffered), std::move(*shared));
        }
    });
    while (result.wait_for(k_look_again) != std::future_status::ready) {
        if (over_) {
            return false;
        }
    }
    return result.get();
}

}  // namespace quicken::http::python
