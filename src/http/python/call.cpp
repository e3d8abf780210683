// See call.hpp.
#include "http/python/call.hpp"

#include <sys/socket.h>

#include "http/python/answer.hpp"
#include "http/python/arguments.hpp"

namespace quicken::http::python {
namespace {

using std::chrono::steady_clock;

// A call of more than a millisecond counts 4, a quicker one takes 1 back; from 4 on, at most 16, calls are
// made apart.
constexpr std::chrono::milliseconds k_slow{1};
constexpr int k_slow_weight = 4;
constexpr int k_most_slowness = 16;
constexpr std::uint64_t k_large = 64 << 10;  // bytes of an answer

void note(std::atomic<int>& slowness, steady_clock::duration taken) {
    const int before = slowness.load(std::memory_order_relaxed);
    const int now =
        taken > k_slow ? std::min(before + k_slow_weight, k_most_slowness) : std::max(before - 1, 0);
    if (now != before) {
        slowness.store(now, std::memory_order_relaxed);
    }
}

http::Response busy_page() {
    http::Response response = error_page(503, {}, "Too many requests wait for an answer");
    response.add("Retry-After", "1");
    return response;
}

/// Python's error as an exception with its traceback; it is cleared.
Ref take_exception() {
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* trace = nullptr;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value != nullptr && trace != nullptr) {
        PyException_SetTraceback(value, trace);
    }
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return Ref(value);
}

}  // namespace

HandlerCall::HandlerCall(Core& core, std::shared_ptr<Exchange> exchange, Match match, Body body)
    : core_(core),
      exchange_(std::move(exchange)),
      policy_(core.site().policy()),
      match_(std::move(match)),
      body_(std::move(body)) {}

bool HandlerCall::is_slow() const {
    return match_.route->slowness.load(std::memory_order_relaxed) >= k_slow_weight;
}

double HandlerCall::seconds() const {
    return std::chrono::duration<double>(steady_clock::now() - since_).count();
}

void HandlerCall::run() {
    const auto started = steady_clock::now();
    Ref request;
    try {
        request = make_request(core_.script().request_type.get(), exchange_->request(), body_, *this);
        const Ref result = invoke(request.get());
        convert(request.get(), result.get());
    } catch (const Raised&) {
        failed(request.get());
    } catch (const std::exception& error) {
        // Not Python's: no memory for a large answer, most likely.
        core_.log(std::string("an answer could not be made: ") + error.what());
        broken_ = true;
        response_ = error_page(500);
    }
    if (request) {
        end_request(request.get());
        request = Ref();
    }
    core_.leave_if_forked();
    note(match_.route->slowness, steady_clock::now() - started);
}

Ref HandlerCall::invoke(PyObject* request) {
    const Ref arguments = make_arguments(exchange_->request(), match_);
    if (body_.size > 0 && !set_json_post(exchange_->request(), body_.bytes, arguments.get())) {
        const Ref parse = checked(PyObject_GetAttrString(request, "parse_body"));
        checked(python::call(parse.get(), arguments.get()));
    }
    return checked(python::call(static_cast<PyObject*>(match_.route->handler), request, arguments.get()));
}

void HandlerCall::convert(PyObject* request, PyObject* result) {
    if (!begun_) {
        response_ = native_answer(match_.route->kind, result);
    }
    if (response_) {
        return;
    }
    const Ref kind = checked(PyUnicode_FromString(match_.route->kind == Route::Kind::json ? "json" : "text"));
    response_ =
        answer_of(checked(python::call(core_.script().finish.get(), request, kind.get(), result)).get());
}

void HandlerCall::failed(PyObject* request) {
    const Ref exception = take_exception();
    broken_ = true;
    response_.reset();
    if (exception && request != nullptr && !core_.takes_over(exception.get())) {
        try {
            response_ =
                answer_of(checked(python::call(core_.script().fail.get(), request, exception.get())).get());
            return;
        } catch (const Raised&) {
            report_error(core_.script().fail.get());
        }
    }
    response_ = error_page(500);
}

bool HandlerCall::is_large() const {
    return !begun_ && response_ && response_->size() >= k_large;
}

/// Checksum, compression.
void HandlerCall::complete() {
    if (completed_ || begun_ || !response_) {
        return;
    }
    completed_ = true;
    const bool large = is_large();
    const auto started = large ? steady_clock::now() : steady_clock::time_point();
    try {
        represent(exchange_->request(), *response_, policy_);
    } catch (const std::exception& error) {
        core_.log(std::string("an answer could not be made: ") + error.what());
        response_ = error_page(500);
    }
    // The next ones are better not made on the loop's thread either.
    if (large && steady_clock::now() - started > k_slow) {
        note(match_.route->slowness, steady_clock::now() - started);
    }
}

void HandlerCall::deliver() {
    if (core_.over()) {
        return;  // the engine is being taken down
    }
    core_.unwatch(*this);
    if (begun_) {
        exchange_.reset();
        outlet_->end(broken_);
        return;
    }
    if (!response_) {
        response_ = error_page(500, {}, "The handler has not answered");
    }
    complete();
    core_.site().send(*exchange_, std::move(*response_));
    exchange_.reset();
}

void HandlerCall::refuse() {
    core_.unwatch(*this);
    core_.site().answer(*exchange_, busy_page());
    exchange_.reset();
}

// Until leave_loop() Python's lock is held, and the handler runs: end_request(), which takes the way to here
// away, needs that lock. So the core lives, and deliver() comes later than what is set here.
HandlerCall::Sending HandlerCall::sending() {
    if (outlet_ == nullptr) {
        outlet_ = std::make_shared<Outlet>(core_.site(), exchange_, core_.over());
    }
    begun_ = true;
    Sending sending{core_.shared_from_this(), outlet_};
    sending.core->threads().leave_loop();
    return sending;
}

void HandlerCall::begin(http::Response head) {
    sending().outlet->begin(std::move(head));
}

void HandlerCall::write(std::string bytes) {
    if (!begun_) {
        raise(PyExc_RuntimeError, "write() before begin()");
    }
    Outlet::Taken taken{};
    const Sending to = sending();
    unlocked([&] { taken = to.outlet->write(std::move(bytes)); });
    if (taken == Outlet::Taken::late) {
        raise(PyExc_ConnectionError, "the request has been answered");
    }
    if (taken == Outlet::Taken::gone) {
        raise(PyExc_ConnectionError, "the client has gone");
    }
}

int HandlerCall::hijack() {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        PyErr_SetFromErrno(PyExc_OSError);  // nothing is begun: the handler can still answer
        throw Raised{};
    }
    Fd own(pair[0]);
    Fd other(pair[1]);
    bool taken = false;
    const Sending to = sending();
    unlocked([&] { taken = to.outlet->hijack(std::move(other)); });
    if (!taken) {
        raise(PyExc_ConnectionError, "the client has gone");
    }
    return own.release();
}

bool FallbackCall::is_slow() const {
    return core_.fallback_slowness().load(std::memory_order_relaxed) >= k_slow_weight;
}

void FallbackCall::run() {
    const auto started = steady_clock::now();
    try {
        if (const Ref hook = Ref::borrow(core_.script().fallback.get())) {
            const Ref result = checked(python::call(hook.get(), checked(to_text(path_)).get()));
            if (result.get() != Py_None) {
                const Ref path = checked(PyOS_FSPath(result.get()));
                file_ = text_of(path.get());
            }
        }
    } catch (const Raised&) {
        report_error(core_.script().fallback.get());
        failed_ = true;
    }
    core_.leave_if_forked();
    note(core_.fallback_slowness(), steady_clock::now() - started);
}

void FallbackCall::deliver() {
    if (core_.over()) {
        return;
    }
    if (failed_) {
        core_.site().answer(*exchange_, error_page(500));
    } else if (file_.empty() || !core_.site().files().answer_file(exchange_, file_)) {
        core_.site().not_found(*exchange_);
    }
    exchange_.reset();
}

void FallbackCall::refuse() {
    core_.site().answer(*exchange_, busy_page());
    exchange_.reset();
}

}  // namespace quicken::http::python
