// How a handler sends its answer in parts, from a thread that has not the loop.
//
// All of its calls but those named are from the handler's thread, without
// Python's lock; what touches the exchange is posted to the loop. So it
// waits for the client without holding up anybody. Another thread of the
// script's may call instead, also when the end has come, or while: who calls
// holds this, and the core whose site it is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "http/exchange.hpp"
#include "http/site.hpp"

namespace quicken::http::python {

class Outlet : public std::enable_shared_from_this<Outlet> {
 public:
    /// `over`: the loop has ended, nothing is sent any more; it outlives this.
    Outlet(Site& site, std::shared_ptr<Exchange> exchange, const std::atomic<bool>& over)
        : site_(site), exchange_(std::move(exchange)), over_(over) {}

    void begin(Response head);
    /// Not taken: the client has gone, or end() has been called.
    enum class Taken { yes, gone, late };
    /// Blocks while more than 1 MiB waits.
    Taken write(std::string bytes);
    /// The client without HTTP: what it sends and is sent goes by this socket. False: it has gone.
    bool hijack(Fd script);
    /// Loop's thread. What has been taken is sent, and nothing more is taken.
    void end(bool broken);

 private:
    void pump();
    void sent(bool failed, std::uint64_t size);

    Site& site_;
    std::shared_ptr<Exchange> exchange_;  // the loop's
    const std::atomic<bool>& over_;
    bool pumping_ = false;   // the loop's
    bool ending_ = false;    // the loop's
    bool broken_ = false;    // the loop's
    bool hijacked_ = false;  // the loop's

    std::mutex mutex_;  // of what follows
    std::condition_variable changed_;
    std::deque<std::string> queue_;
    std::uint64_t waiting_ = 0;  // bytes, of the queue and what is being written
    bool gone_ = false;
    bool ended_ = false;
};

}  // namespace quicken::http::python
