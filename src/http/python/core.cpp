// See core.hpp.
#include "http/python/core.hpp"

#include <unistd.h>

#include "common/error.hpp"
#include "http/python/call.hpp"

namespace quicken::http::python {
namespace {

constexpr double k_short_turn = 0.0005;  // seconds; Python's usual switch interval is 0.005

/// What a Python thread of the engine is to run.
struct ThreadBody {
    std::shared_ptr<Core> core;
    void (*run)(Core&);
};

PyObject* run_body(PyObject* capsule, PyObject*) {
    const auto* body = static_cast<ThreadBody*>(PyCapsule_GetPointer(capsule, nullptr));
    body->run(*body->core);
    Py_RETURN_NONE;
}

PyMethodDef g_body = {"engine", run_body, METH_NOARGS, nullptr};

void delete_body(PyObject* capsule) {
    delete static_cast<ThreadBody*>(PyCapsule_GetPointer(capsule, nullptr));
}

/// threading.Thread(target=…, name=…, daemon=True), started.
Ref make_thread(const char* name, std::shared_ptr<Core> core, void (*run)(Core&)) {
    const Ref capsule = checked(PyCapsule_New(new ThreadBody{std::move(core), run}, nullptr, delete_body));
    const Ref target = checked(PyCFunction_New(&g_body, capsule.get()));
    const Ref threading = checked(PyImport_ImportModule("threading"));
    const Ref type = checked(PyObject_GetAttrString(threading.get(), "Thread"));
    const Ref nothing = checked(PyTuple_New(0));
    const Ref keywords =
        checked(Py_BuildValue("{s:O,s:s,s:O}", "target", target.get(), "name", name, "daemon", Py_True));
    Ref thread = checked(PyObject_Call(type.get(), nothing.get(), keywords.get()));
    checked(call_method(thread.get(), "start"));
    return thread;
}

bool is_alive(PyObject* thread) {
    const Ref alive = call_method(thread, "is_alive");
    PyErr_Clear();
    return alive.get() == Py_True;
}

}  // namespace

void report_error(PyObject* about) {
    PyErr_WriteUnraisable(about);
}

Core::Core(Script& script)
    : script_(script),
      log_({[this](const std::string& lines) {
                if (!python::call(script_.log.get(), to_text(lines).get())) {
                    report_error(script_.log.get());
                }
            },
            [this](const Log::Slow& slow) { tell_slow(slow); }}),
      site_(*this, config_.settings),
      threads_(site_.server(), config_.settings,
               {[this] { start_thread("handlers", [](Core& core) { core.threads_.work(); }); },
                [this] { no_thread(); }, [this](bool short_turns) { set_interval(short_turns); }}) {}

void Core::start() {
    start_thread("log", [](Core& core) { core.log_.work(); });
    start_thread("clerk", [](Core& core) { core.threads_.clerk(); });
    threads_.start();
}

void Core::start_thread(const char* name, void (*body)(Core&)) {
    std::erase_if(python_threads_, [](PyObject* thread) {
        const bool gone = !is_alive(thread);
        if (gone) {
            Py_DECREF(thread);
        }
        return gone;
    });
    python_threads_.push_back(
        make_thread((std::string("quick_server ") + name).c_str(), shared_from_this(), body).release());
}

Threads::Left Core::serve(std::uint64_t requests, double seconds) {
    serving_ = pthread_self();
    // What was wanted last time and comes late says less than is wanted now, or the same: the number only
    // grows.
    if (requests > 0) {
        server().tell_after(requests, [self = weak_from_this(), requests] {
            if (const auto core = self.lock()) {
                core->ended_ = requests;
                core->threads_.wake_serving();
            }
        });
    }
    const auto failed = [this] {
        if (!pending_) {
            return false;
        }
        const Ref exception = std::move(pending_);
        PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.get())), exception.get());
        return true;
    };
    return threads_.serving(
        failed, [this, requests] { return requests > 0 && ended_ >= requests; }, seconds);
}

void Core::finish() {
    server().stop();
    const bool all = threads_.finish();
    over_ = true;
    log_.finish();
    for (PyObject* thread : std::exchange(python_threads_, {})) {
        if (all) {
            call_method(thread, "join");
            PyErr_Clear();
        }
        Py_DECREF(thread);
    }
}

void Core::set(Config config) {
    const auto shared = std::make_shared<Config>(std::move(config));
    server().post([self = weak_from_this(), shared] {
        if (const auto core = self.lock()) {
            core->apply(std::move(*shared));
        }
    });
}

void Core::apply(Config config) {
    config_ = std::move(config);
    site_.set_routes(config_.routes);
    site_.set_files(config_.files);
    site_.set_quiet(config_.quiet);
    site_.set_debug_proxy(config_.debug_proxy);
    threads_.set_parallel(config_.parallel);
    try {
        site_.set_proxy(config_.proxies);
    } catch (const Error& error) {
        log(std::string("no proxy: ") + error.what());
    }
}

void Core::stop(double latency) {
    server().post([self = weak_from_this(), latency] {
        if (const auto core = self.lock()) {
            core->config_.settings.drain_timeout = latency;
            if (latency > 0) {
                core->server().drain(Fd());
            } else {
                core->server().stop();
            }
        }
    });
}

void Core::abandon() {
    abandoned_ = true;
    server().abandon();
}

void Core::call(std::shared_ptr<Exchange> exchange, Match match, http::Body body) {
    auto work = std::make_shared<HandlerCall>(*this, std::move(exchange), std::move(match), std::move(body));
    if (config_.report_slow > 0) {
        watch(*work);
    }
    threads_.submit(std::move(work));
}

void Core::fallback(std::shared_ptr<Exchange> exchange, std::string path) {
    threads_.submit(std::make_shared<FallbackCall>(*this, std::move(exchange), std::move(path)));
}

void Core::log(std::string line) {
    log_.add(std::move(line));
}

bool Core::takes_over(PyObject* exception) {
    if (pthread_equal(serving_, pthread_self()) == 0 ||
        PyObject_IsInstance(exception, PyExc_Exception) != 0) {
        return false;
    }
    pending_ = Ref::borrow(exception);
    return true;
}

void Core::leave_if_forked() const {
    if (!abandoned_) {
        return;
    }
    for (const char* name : {"stdout", "stderr"}) {
        PyObject* stream = PySys_GetObject(name);
        const Ref flushed = stream == nullptr ? Ref() : call_method(stream, "flush");
        PyErr_Clear();
    }
    ::_exit(0);
}

void Core::no_thread() {
    PyErr_Clear();  // a RuntimeError that says no more than this, or a MemoryError
    log("there are no more threads for handlers: requests wait for those that there are");
}

void Core::set_interval(bool short_turns) {
    const Ref sys(PyImport_ImportModule("sys"));
    if (!sys || short_turns == static_cast<bool>(usual_interval_)) {
        PyErr_Clear();
        return;
    }
    Ref result;
    if (short_turns) {
        usual_interval_ = call_method(sys.get(), "getswitchinterval");
        result = Ref(PyObject_CallMethod(sys.get(), "setswitchinterval", "d", k_short_turn));
    } else {
        result = Ref(PyObject_CallMethod(sys.get(), "setswitchinterval", "O", usual_interval_.get()));
        usual_interval_ = Ref();
    }
    if (!result) {
        report_error(sys.get());
    }
}

// Slow requests: a look at all calls four times in the time that is too long.

void Core::watch(HandlerCall& call) {
    call.place_ = watched_.insert(watched_.end(), &call);
    call.watched_ = true;
    if (watch_timer_ == nullptr) {
        watch_timer_ = server().after(config_.report_slow / 4, [this] { look_for_slow(); });
    }
}

void Core::unwatch(HandlerCall& call) {
    if (!call.watched_) {
        return;
    }
    call.watched_ = false;
    watched_.erase(call.place_);
    if (call.reported_) {
        const http::Request& request = call.exchange_->request();
        log_.add(Log::Slow{std::string(request.method), std::string(request.target), call.seconds(), true});
    }
}

void Core::look_for_slow() {
    watch_timer_.reset();
    for (HandlerCall* call : watched_) {
        if (!call->reported_ && config_.report_slow > 0 && call->seconds() >= config_.report_slow) {
            call->reported_ = true;
            const http::Request& request = call->exchange_->request();
            log_.add(
                Log::Slow{std::string(request.method), std::string(request.target), call->seconds(), false});
        }
    }
    if (!watched_.empty() && config_.report_slow > 0) {
        watch_timer_ = server().after(config_.report_slow / 4, [this] { look_for_slow(); });
    }
}

void Core::tell_slow(const Log::Slow& slow) {
    const Ref hook = Ref::borrow(script_.slow.get());
    const Ref arguments(Py_BuildValue(
        "(s#s#dO)", slow.method.data(), static_cast<Py_ssize_t>(slow.method.size()), slow.path.data(),
        static_cast<Py_ssize_t>(slow.path.size()), slow.seconds, slow.done ? Py_True : Py_False));
    if (!hook) {
        return;
    }
    const Ref result(arguments ? guarded([&] { return PyObject_CallObject(hook.get(), arguments.get()); })
                               : nullptr);
    if (!result) {
        report_error(hook.get());
    }
}

}  // namespace quicken::http::python
