#include "calls.hpp"

#include <errno.h>

#include <array>
#include <utility>

#include "template.hpp"

namespace quicken::interp {

namespace {

constexpr unsigned k_most = 64;  // functions

// Flags of a definition that the limited API of 3.8 does not name; the same in every version.
constexpr int k_fastcall = 0x80;
constexpr int k_conventions = METH_VARARGS | METH_KEYWORDS | METH_NOARGS | METH_O | k_fastcall;
constexpr int k_other_conventions = 0x200;  // METH_METHOD

using WithKeywords = PyObject* (*)(PyObject*, PyObject*, PyObject*);
using Fast = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t);
using FastWithKeywords = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);

struct Watched {
    PyMethodDef* definition;
    PyCFunction function;
    PyObject* hook;
};

Watched watched[k_most];
unsigned watched_count = 0;
const char* failed = nullptr;  // name of a function whose hook has raised
__attribute__((tls_model("initial-exec"))) thread_local bool inside = false;

/// What our own code calls is no doing of the prelude's.
bool is_told() {
    return !inside && py.PyEval_GetGlobals() != template_.bootstrap.get();
}

/// The exception that is set while something else is called.
class SavedException {
 public:
    SavedException() { py.PyErr_Fetch(&type_, &value_, &traceback_); }
    ~SavedException() { py.PyErr_Restore(type_, value_, traceback_); }
    SavedException(const SavedException&) = delete;
    SavedException& operator=(const SavedException&) = delete;

 private:
    PyObject *type_ = nullptr, *value_ = nullptr, *traceback_ = nullptr;
};

Ref call_inside(const Watched& each, PyObject* function, const Ref& arguments, const Ref& options) {
    inside = true;
    Ref answer(arguments ? py.PyObject_Call(function, arguments.get(), options.get()) : nullptr);
    inside = false;
    if (!answer) {
        py.PyErr_Clear();
        failed = each.definition->ml_name;
    }
    return answer;
}

/// `self` and the arguments, as the hook gets them.
Ref tuple_of(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    Ref tuple(py.PyTuple_New(count + 1));
    if (!tuple) return tuple;
    py.PyTuple_SetItem(tuple.get(), 0, Ref::borrow(self != nullptr ? self : py.none).release());
    for (Py_ssize_t i = 0; i < count; ++i)
        py.PyTuple_SetItem(tuple.get(), i + 1, Ref::borrow(arguments[i]).release());
    return tuple;
}

Ref tuple_of(PyObject* self, PyObject* arguments) {
    constexpr Py_ssize_t k_enough = 16;  // of what is watched nothing takes more
    PyObject* items[k_enough];
    Py_ssize_t count = py.PyTuple_Size(arguments);
    if (count > k_enough) count = k_enough;
    for (Py_ssize_t i = 0; i < count; ++i) items[i] = py.PyTuple_GetItem(arguments, i);
    return tuple_of(self, items, count);
}

Ref options_of(PyObject* const* values, PyObject* names) {
    if (names == nullptr) return Ref();
    Ref options(py.PyDict_New());
    for (Py_ssize_t i = 0; options && i < py.PyTuple_Size(names); ++i)
        if (py.PyDict_SetItem(options.get(), py.PyTuple_GetItem(names, i), values[i]) != 0) options.reset();
    return options;
}

template <typename Function>
PyObject* watch(const Watched& each, const Ref& arguments, const Ref& options, Function function) {
    const int error = errno;  // os.ttyname tells of one that it has not set
    const Ref answer = call_inside(each, each.hook, arguments, options);
    errno = error;
    if (!answer || answer.get() == py.none) return function();
    if ((py.PyType_GetFlags(Py_TYPE(answer.get())) & Py_TPFLAGS_TUPLE_SUBCLASS) != 0)
        return Ref::borrow(py.PyTuple_GetItem(answer.get(), 0)).release();
    PyObject* result = function();
    const SavedException saved;
    const Ref has_failed(py.PyLong_FromLong(result == nullptr ? 1 : 0));
    call_inside(each, answer.get(), tuple_of(has_failed.get(), nullptr, 0), Ref());
    return result;
}

/// What stands in the definition of function N, one for each way in which arguments are given.
template <unsigned N>
struct Entry {
    static PyObject* plain(PyObject* self, PyObject* argument) {
        const Watched& each = watched[N];
        const auto original = [&] { return each.function(self, argument); };
        if (!is_told()) return original();
        if ((each.definition->ml_flags & METH_VARARGS) != 0)
            return watch(each, tuple_of(self, argument), Ref(), original);
        return watch(each, tuple_of(self, &argument, argument != nullptr ? 1 : 0), Ref(), original);
    }

    static PyObject* with_keywords(PyObject* self, PyObject* arguments, PyObject* options) {
        const Watched& each = watched[N];
        const auto function = reinterpret_cast<WithKeywords>(reinterpret_cast<void*>(each.function));
        const auto original = [&] { return function(self, arguments, options); };
        return is_told() ? watch(each, tuple_of(self, arguments), Ref::borrow(options), original)
                         : original();
    }

    static PyObject* fast(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
        const Watched& each = watched[N];
        const auto function = reinterpret_cast<Fast>(reinterpret_cast<void*>(each.function));
        const auto original = [&] { return function(self, arguments, count); };
        return is_told() ? watch(each, tuple_of(self, arguments, count), Ref(), original) : original();
    }

    static PyObject* fast_with_keywords(PyObject* self, PyObject* const* arguments, Py_ssize_t count,
                                        PyObject* names) {
        const Watched& each = watched[N];
        const auto function = reinterpret_cast<FastWithKeywords>(reinterpret_cast<void*>(each.function));
        const auto original = [&] { return function(self, arguments, count, names); };
        if (!is_told()) return original();
        return watch(each, tuple_of(self, arguments, count), options_of(arguments + count, names), original);
    }
};

struct Ways {
    PyCFunction plain;
    WithKeywords with_keywords;
    Fast fast;
    FastWithKeywords fast_with_keywords;
};

template <unsigned... N>
constexpr std::array<Ways, sizeof...(N)> ways_of(std::integer_sequence<unsigned, N...>) {
    return {Ways{Entry<N>::plain, Entry<N>::with_keywords, Entry<N>::fast, Entry<N>::fast_with_keywords}...};
}

constexpr std::array<Ways, k_most> k_ways = ways_of(std::make_integer_sequence<unsigned, k_most>());

PyCFunction replacement(const Ways& ways, int flags) {
    void* function = nullptr;
    switch (flags & k_conventions) {
        case METH_VARARGS | METH_KEYWORDS:
            function = reinterpret_cast<void*>(ways.with_keywords);
            break;
        case k_fastcall:
            function = reinterpret_cast<void*>(ways.fast);
            break;
        case k_fastcall | METH_KEYWORDS:
            function = reinterpret_cast<void*>(ways.fast_with_keywords);
            break;
        default:
            return ways.plain;
    }
    return reinterpret_cast<PyCFunction>(function);
}

/// Where its type is PyCFunction_Type, in every version what is behind the head of the object starts with
/// these; nullptr if that is not so in this interpreter.
PyMethodDef* definition_of(PyObject* function) {
    struct Builtin {
        PyObject head;
        PyMethodDef* definition;
        PyObject* self;
    };
    const PyCFunction target = py.PyCFunction_GetFunction(function);
    if (target == nullptr) {
        py.PyErr_Clear();
        return nullptr;
    }
    const auto* builtin = reinterpret_cast<Builtin*>(function);
    if (builtin->self != py.PyCFunction_GetSelf(function)) return nullptr;
    PyMethodDef* definition = builtin->definition;
    return definition->ml_meth == target && (definition->ml_flags & k_other_conventions) == 0 ? definition
                                                                                              : nullptr;
}

PyObject* watch_call(PyObject*, PyObject* arguments) {
    PyMethodDef* definition = definition_of(py.PyTuple_GetItem(arguments, 0));
    if (definition == nullptr || watched_count == k_most) {
        py.PyErr_SetString(*py.PyExc_OSError, "a function cannot be watched");
        return nullptr;
    }
    watched[watched_count] = {definition, definition->ml_meth,
                              Ref::borrow(py.PyTuple_GetItem(arguments, 1)).release()};
    definition->ml_meth = replacement(k_ways[watched_count], definition->ml_flags);
    ++watched_count;
    return Ref::borrow(py.none).release();
}

/// In the reverse order: one may have been watched twice.
PyObject* unwatch_calls(PyObject*, PyObject*) {
    for (; watched_count != 0; --watched_count) {
        const Watched& each = watched[watched_count - 1];
        each.definition->ml_meth = each.function;
    }
    return failed != nullptr ? py.PyUnicode_FromString(failed) : Ref::borrow(py.none).release();
}

}  // namespace

PyMethodDef watch_call_method = {"watch_call", watch_call, METH_VARARGS, nullptr};
PyMethodDef unwatch_calls_method = {"unwatch_calls", unwatch_calls, METH_NOARGS, nullptr};

}  // namespace quicken::interp
