// Python's stable interface (PEP 384, 3.8) and the types that own what is of it.
//
// One build serves all CPythons from 3.8 on. A few functions are exported by
// all of them but are not in that version's stable headers: declared here.
//
// A thread that wants the interpreter's lock while the interpreter ends is
// ended by pthread_exit(3) in there (daemon threads, up to 3.13). Unwinding
// through the engine would run destructors that belong to the loop: Barrier
// holds such a thread where it is, until the process has gone.
#pragma once

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#include <Python.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

extern "C" {
const char* PyUnicode_AsUTF8AndSize(PyObject* text, Py_ssize_t* size);
// From 3.9 on: nullptr before.
__attribute__((weak)) PyObject* PyObject_Vectorcall(PyObject* callable, PyObject* const* arguments,
                                                    size_t count, PyObject* names);
}

namespace quicken::http::python {

/// PY_VECTORCALL_ARGUMENTS_OFFSET: the place before the arguments may be used by whoever is called.
inline constexpr size_t k_may_prepend = size_t{1} << (8 * sizeof(size_t) - 1);

/// A reference that somebody owns. With the interpreter's lock held, moves and empty ones excepted.
class Ref {
 public:
    Ref() noexcept = default;
    /// Takes ownership of a new reference; nullptr is "none", with Python's error set as a rule.
    explicit Ref(PyObject* owned) noexcept : object_(owned) {}
    static Ref borrow(PyObject* object) noexcept {
        Py_XINCREF(object);
        return Ref(object);
    }
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref&& other) noexcept {
        PyObject* old = std::exchange(object_, std::exchange(other.object_, nullptr));
        Py_XDECREF(old);
        return *this;
    }
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;
    ~Ref() { Py_XDECREF(object_); }

    PyObject* get() const noexcept { return object_; }
    [[nodiscard]] PyObject* release() noexcept { return std::exchange(object_, nullptr); }
    explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
    PyObject* object_ = nullptr;
};

/// A C++ function called from Python failed and has set Python's error.
struct Raised {};

/// Around whatever may end the thread (see above).
class Barrier {
 public:
    Barrier() = default;
    Barrier(const Barrier&) = delete;
    Barrier& operator=(const Barrier&) = delete;
    ~Barrier() {
        while (!passed_) {
            ::pause();
        }
    }
    void pass() noexcept { passed_ = true; }

 private:
    bool passed_ = false;
};

/// Takes the interpreter's lock with this thread's state, which PyEval_SaveThread() gave.
inline void attach(PyThreadState* state) {
    Barrier barrier;
    PyEval_RestoreThread(state);
    barrier.pass();
}

/// Calls `action`, which throws nothing, without the interpreter's lock.
template <typename Action>
void unlocked(Action&& action) {
    PyThreadState* state = PyEval_SaveThread();
    action();
    attach(state);
}

/// What `action` returns, a new reference, where a script's code may run in it. Nothing that has a destructor
/// is made in there: what is outside is behind the barrier.
template <typename Action>
PyObject* guarded(Action&& action) {
    Barrier barrier;
    PyObject* result = action();
    barrier.pass();
    return result;
}

/// At most three arguments.
template <typename... Arguments>
Ref call(PyObject* callable, Arguments*... arguments) {
    static_assert(sizeof...(arguments) <= 3);
    return Ref(guarded([&] {
        if (PyObject_Vectorcall == nullptr) {
            return PyObject_CallFunctionObjArgs(callable, arguments..., nullptr);
        }
        PyObject* const list[] = {nullptr, arguments...};
        return PyObject_Vectorcall(callable, list + 1, sizeof...(arguments) | k_may_prepend, nullptr);
    }));
}

/// A method without arguments.
inline Ref call_method(PyObject* object, const char* name) {
    return Ref(guarded([&] { return PyObject_CallMethod(object, name, nullptr); }));
}

/// UTF-8; valid as long as the object is. Throws Raised for what is no str, or has lone surrogates.
inline std::string_view text_of(PyObject* text) {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes == nullptr) {
        throw Raised{};
    }
    return {bytes, static_cast<size_t>(size)};
}

inline Ref to_text(std::string_view text) {
    return Ref(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

inline Ref to_latin(std::string_view text) {
    return Ref(PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
}

/// Sets Python's error.
[[noreturn]] inline void raise(PyObject* type, const std::string& text) {
    PyErr_SetString(type, text.c_str());
    throw Raised{};
}

/// What Python returned, or Raised.
inline Ref checked(Ref result) {
    if (!result) {
        throw Raised{};
    }
    return result;
}
inline Ref checked(PyObject* result) {
    return checked(Ref(result));
}

}  // namespace quicken::http::python
