#include "python_api.hpp"

#include <dlfcn.h>

#include <atomic>
#include <initializer_list>
#include <type_traits>

namespace quicken::interp {

PythonApi py;

namespace {

const void* library_of(const void* address) {
    Dl_info library{};
    return dladdr(address, &library) != 0 ? library.dli_fbase : nullptr;
}

}  // namespace

bool is_interpreter(const void* address) {
    static std::atomic<const void*> known{nullptr};
    if (known.load() == nullptr)
        known.store(library_of(reinterpret_cast<const void*>(py.PyObject_CallObject)));
    return known.load() != nullptr && library_of(address) == known.load();
}

const char* load_python() {
    const char* missing = nullptr;
    auto resolve = [&missing](auto& pointer, const char* name) {
        void* symbol = dlsym(RTLD_DEFAULT, name);
        if (symbol == nullptr && missing == nullptr) missing = name;
        pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(symbol);
    };
#define QUICKEN_RESOLVE(name) resolve(py.name, #name);
    QUICKEN_PYTHON_FUNCTIONS(QUICKEN_RESOLVE)
    QUICKEN_PYTHON_OBJECTS(QUICKEN_RESOLVE)
    QUICKEN_RESOLVE(PyConfig_InitPythonConfig)
    QUICKEN_RESOLVE(PyConfig_SetBytesArgv)
    QUICKEN_RESOLVE(PyConfig_Clear)
    QUICKEN_RESOLVE(Py_InitializeFromConfig)
    QUICKEN_RESOLVE(PySys_AddAuditHook)
    QUICKEN_RESOLVE(PyRun_FileExFlags)
    QUICKEN_RESOLVE(PyRun_StringFlags)
#undef QUICKEN_RESOLVE
    resolve(py.none, "_Py_NoneStruct");
    py.PyErr_FormatUnraisable =
        reinterpret_cast<void (*)(const char*, ...)>(dlsym(RTLD_DEFAULT, "PyErr_FormatUnraisable"));
    py.PyMarshal_ReadObjectFromString = reinterpret_cast<PyObject* (*)(const char*, Py_ssize_t)>(
        dlsym(RTLD_DEFAULT, "PyMarshal_ReadObjectFromString"));
    for (const char* name : {"PyThreadState_GetUnchecked", "_PyThreadState_UncheckedGet"}) {  // 3.13, before
        if (py.PyThreadState_GetUnchecked != nullptr) break;
        py.PyThreadState_GetUnchecked = reinterpret_cast<PyThreadState* (*)()>(dlsym(RTLD_DEFAULT, name));
    }
    if (py.PyThreadState_GetUnchecked == nullptr && missing == nullptr)
        missing = "_PyThreadState_UncheckedGet";
    return missing;
}

}  // namespace quicken::interp
