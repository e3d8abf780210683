#include "clock.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "python_api.hpp"

#define QUICKEN_EXPORT __attribute__((visibility("default")))

namespace quicken::interp {

namespace {

enum Clocks : unsigned { k_day = 1, k_boot = 2, k_processor = 4 };

constexpr unsigned k_readers = 256;

struct Reader {
    const void* globals;
    unsigned clocks;
};

__attribute__((tls_model("initial-exec"))) thread_local bool watching = false;
Reader readers[k_readers];
unsigned reader_count = 0;
unsigned clocks_of_others = 0;

/// Of the code that is being run; nullptr if the thread has released the interpreter's lock, as it has where
/// it waits for that.
const void* current_globals() {
    PyThreadState* state = py.PyThreadState_GetUnchecked();
    if (state == nullptr || state != py.PyGILState_GetThisThreadState()) return nullptr;
    return py.PyEval_GetGlobals();
}

void note(unsigned clocks) {
    const void* globals = current_globals();
    if (globals == nullptr) return;
    for (unsigned i = 0; i < reader_count; ++i) {
        if (readers[i].globals != globals) continue;
        readers[i].clocks |= clocks;
        return;
    }
    if (reader_count == k_readers) {
        clocks_of_others |= clocks;
        return;
    }
    readers[reader_count++] = {globals, clocks};
}

unsigned clocks_of(clockid_t clock) {
    switch (clock) {
        case CLOCK_MONOTONIC:
        case CLOCK_MONOTONIC_RAW:
        case CLOCK_MONOTONIC_COARSE:
        case CLOCK_BOOTTIME:
            return k_boot;
        case CLOCK_PROCESS_CPUTIME_ID:
        case CLOCK_THREAD_CPUTIME_ID:
            return k_processor;
        default:
            return k_day;
    }
}

/// The C library's function. Before its constructors have run there may be none.
template <typename Function>
Function* original(const char* name, Function*& known) {
    if (known == nullptr) known = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
    return known;
}

bool add(PyObject* dict, const void* globals, unsigned clocks) {
    const Ref key(py.PyLong_FromVoidPtr(const_cast<void*>(globals)));
    const Ref value(py.PyLong_FromLong(static_cast<long>(clocks)));
    return key && value && py.PyDict_SetItem(dict, key.get(), value.get()) == 0;
}

}  // namespace

void watch_clocks() {
    watching = true;
}

void unwatch_clocks() {
    watching = false;
}

PyObject* clock_readers() {
    Ref dict(py.PyDict_New());
    if (!dict) return nullptr;
    for (unsigned i = 0; i < reader_count; ++i) {
        if (!add(dict.get(), readers[i].globals, readers[i].clocks)) return nullptr;
    }
    if (clocks_of_others != 0 && !add(dict.get(), nullptr, clocks_of_others)) return nullptr;
    return dict.release();
}

}  // namespace quicken::interp

extern "C" QUICKEN_EXPORT int clock_gettime(clockid_t clock, timespec* now) noexcept {
    using namespace quicken::interp;
    static decltype(::clock_gettime)* known = nullptr;
    if (watching) note(clocks_of(clock));
    auto* function = original("clock_gettime", known);
    if (function != nullptr) return function(clock, now);
    return static_cast<int>(syscall(SYS_clock_gettime, clock, now));
}

extern "C" QUICKEN_EXPORT int gettimeofday(timeval* now, void* zone) noexcept {
    using namespace quicken::interp;
    static decltype(::gettimeofday)* known = nullptr;
    if (watching) note(k_day);
    auto* function = original("gettimeofday", known);
    if (function != nullptr) return function(now, zone);
    return static_cast<int>(syscall(SYS_gettimeofday, now, zone));
}

extern "C" QUICKEN_EXPORT time_t time(time_t* now) noexcept {
    using namespace quicken::interp;
    static decltype(::time)* known = nullptr;
    if (watching) note(k_day);
    auto* function = original("time", known);
    if (function != nullptr) return function(now);
    return syscall(SYS_time, now);
}
