// One run of Engine.serve(): the engine with what a script has set, its
// threads and its log.
//
// Whoever may still be in it has a shared pointer: a handler that is longer
// than the run leaves through it. It outlives no Engine object: whoever makes it serve on holds that one.
#pragma once

#include <pthread.h>

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "http/python/log.hpp"
#include "http/python/python.hpp"
#include "http/python/threads.hpp"
#include "http/site.hpp"

namespace quicken::http::python {

/// The script's objects, with Python's lock. Those that may be missing are nullptr.
struct Script {
    Ref request_type;
    Ref finish;
    Ref fail;
    Ref log;
    Ref slow;
    Ref fallback;
};

/// What a script has set, without Python.
struct Config {
    Settings settings;
    FileRules files;
    std::vector<Proxy::Rule> proxies;
    std::shared_ptr<const Routes> routes = std::make_shared<Routes>();
    bool parallel = true;
    bool quiet = false;
    bool debug_proxy = false;
    bool has_fallback = false;
    double report_slow = 0;  // seconds; 0: never
};

class HandlerCall;

class Core final : public Handlers, public std::enable_shared_from_this<Core> {
 public:
    explicit Core(Script& script);

    // With Python's lock, by the thread in serve().
    void start();
    /// Until the loop has ended, or so many requests (0: any number) have ended since start(), or for so many
    /// seconds (< 0: any), and may be called again then. Throws Raised for what came up in this thread.
    Threads::Left serve(std::uint64_t requests, double seconds);
    void finish();

    /// Any thread.
    void set(Config config);
    void stop(double latency);
    /// In the child of a fork: lets go of every descriptor.
    void abandon();

    Server& server() { return site_.server(); }
    Site& site() { return site_; }
    Threads& threads() { return threads_; }
    Script& script() { return script_; }

    void call(std::shared_ptr<Exchange> exchange, Match match, Body body) override;
    bool has_fallback() const override { return config_.has_fallback; }
    void fallback(std::shared_ptr<Exchange> exchange, std::string path) override;
    void log(std::string line) override;

    // Of the calls.
    /// With Python's lock: an exception that is to come out of serve() if this is its thread: then it takes
    /// it.
    bool takes_over(PyObject* exception);
    /// In a child that a handler has forked and that comes back: it has nothing to do here. Does not return
    /// then.
    void leave_if_forked() const;
    /// Loop's thread: for the report of slow requests.
    void watch(HandlerCall& call);
    void unwatch(HandlerCall& call);
    std::atomic<int>& fallback_slowness() { return fallback_slowness_; }
    const std::atomic<bool>& over() const { return over_; }

 private:
    void apply(Config config);
    void start_thread(const char* name, void (*body)(Core&));
    void no_thread();
    void set_interval(bool short_turns);
    void tell_slow(const Log::Slow& slow);
    void look_for_slow();

    Script& script_;
    Config config_;  // the loop's, once started
    // Before the site: what the server still holds when it is destroyed may look at them.
    Log log_;
    std::list<HandlerCall*> watched_;  // the loop's
    std::atomic<bool> over_{false};
    std::atomic<bool> abandoned_{false};
    std::atomic<int> fallback_slowness_{0};
    Site site_;
    std::shared_ptr<void> watch_timer_;
    Threads threads_;
    std::vector<PyObject*> python_threads_;  // owned; with Python's lock
    Ref usual_interval_;
    Ref pending_;  // exception for serve()
    pthread_t serving_{};
    std::atomic<std::uint64_t> ended_{0};  // requests, when it was last told so
};

/// Says on sys.stderr what Python's error is, and clears it.
void report_error(PyObject* about);

}  // namespace quicken::http::python
