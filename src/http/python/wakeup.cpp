#include "http/python/wakeup.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "http/python/python.hpp"

namespace quicken::http::python {
namespace {

/// The one before; -2: it could not be set.
long set_wakeup_fd(int fd) {
    const Ref signal(PyImport_ImportModule("signal"));
    const Ref function(signal ? PyObject_GetAttrString(signal.get(), "set_wakeup_fd") : nullptr);
    const Ref arguments(Py_BuildValue("(i)", fd));
    const Ref keywords(Py_BuildValue("{s:O}", "warn_on_full_buffer", Py_False));
    const Ref before(function && arguments && keywords
                         ? PyObject_Call(function.get(), arguments.get(), keywords.get())
                         : nullptr);
    const long result = before ? PyLong_AsLong(before.get()) : -2;
    PyErr_Clear();
    return result;
}

}  // namespace

Wakeup::Wakeup() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
        return;  // signals are then waited for as without it
    }
    read_ = Fd(ends[0]);
    write_ = Fd(ends[1]);
    const long before = set_wakeup_fd(write_.get());
    is_set_ = before == -1;
    if (before >= 0) {
        set_wakeup_fd(static_cast<int>(before));
    }
}

Wakeup::~Wakeup() {
    if (!is_set_) {
        return;
    }
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* trace = nullptr;
    PyErr_Fetch(&type, &value, &trace);
    const long present = set_wakeup_fd(-1);
    if (present >= 0 && present != write_.get()) {
        set_wakeup_fd(static_cast<int>(present));  // a handler's, called in this thread
    }
    PyErr_Restore(type, value, trace);
}

void Wakeup::drain() const {
    std::array<char, 64> bytes{};
    while (is_set_ && ::read(read_.get(), bytes.data(), bytes.size()) > 0) {
    }
}

}  // namespace quicken::http::python
