#include "draws.hpp"

#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace quicken::interp {

namespace {

// What is added up in `draws`.
enum Draws : unsigned { k_bytes = 1U << 16, k_seed = 1 };

std::atomic<unsigned> draws{0};
std::atomic<bool> counting{false};

PyObject* take_draws(PyObject*, PyObject*) {
    return py.PyLong_FromLong(static_cast<long>(draws.exchange(0)));
}

PyMethodDef take_method = {"take_draws", take_draws, METH_NOARGS, nullptr};

}  // namespace

bool add_draw_function(PyObject* names) {
    const Ref function(py.PyCFunction_NewEx(&take_method, nullptr, nullptr));
    counting.store(true);
    return function && py.PyDict_SetItemString(names, take_method.ml_name, function.get()) == 0;
}

}  // namespace quicken::interp

/// The interpreter waits for the kernel's first entropy where it needs bytes, and does not for a seed (PEP
/// 524).
extern "C" __attribute__((visibility("default"))) ssize_t getrandom(void* bytes, size_t size,
                                                                    unsigned flags) {
    using namespace quicken::interp;
    if (counting.load(std::memory_order_relaxed) && is_interpreter(__builtin_return_address(0)))
        draws.fetch_add((flags & GRND_NONBLOCK) != 0 ? k_seed : k_bytes);
    return syscall(SYS_getrandom, bytes, size, flags);
}
