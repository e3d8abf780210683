// The extension module quick_server._engine.
#include "http/python/arguments.hpp"
#include "http/python/engine.hpp"
#include "http/python/json.hpp"
#include "http/python/python.hpp"
#include "http/python/request.hpp"

namespace quicken::http::python {
namespace {

PyObject* json_dumps(PyObject*, PyObject* value) {
    try {
        const std::string text = dump_json(value);
        return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
    } catch (const Raised&) {
        return nullptr;
    }
}

PyObject* after_fork(PyObject*, PyObject*) {
    abandon_all();
    Py_RETURN_NONE;
}

PyMethodDef g_functions[] = {
    {"json_dumps", json_dumps, METH_O, "json.dumps(value, indent=2, sort_keys=True), NaN as \"NaN\"."},
    {"_after_fork", after_fork, METH_NOARGS, "In the child of a fork: engines let go of their descriptors."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef g_module = {PyModuleDef_HEAD_INIT,
                        "_engine",
                        "quick_server's engine.",
                        -1,
                        g_functions,
                        nullptr,
                        nullptr,
                        nullptr,
                        nullptr};

/// A fork from a handler must not hold the connections open: subprocess and multiprocessing fork as well.
void register_at_fork(PyObject* module) {
    const Ref os = checked(PyImport_ImportModule("os"));
    const Ref function = checked(PyObject_GetAttrString(os.get(), "register_at_fork"));
    const Ref hook = checked(PyObject_GetAttrString(module, "_after_fork"));
    const Ref nothing = checked(PyTuple_New(0));
    const Ref keywords = checked(Py_BuildValue("{s:O}", "after_in_child", hook.get()));
    checked(PyObject_Call(function.get(), nothing.get(), keywords.get()));
}

void add(PyObject* module, const char* name, PyObject* type) {
    if (PyModule_AddObject(module, name, Ref::borrow(type).release()) != 0) {
        throw Raised{};
    }
}

PyObject* make_module() {
    Ref module = checked(PyModule_Create(&g_module));
    if (!prepare_json()) {
        throw Raised{};
    }
    prepare_arguments();
    const Ref request = checked(make_request_type());
    const Ref engine = checked(make_engine_type(request.get()));
    add(module.get(), "Request", request.get());
    add(module.get(), "Engine", engine.get());
    register_at_fork(module.get());
    return module.release();
}

}  // namespace
}  // namespace quicken::http::python

extern "C" __attribute__((visibility("default"))) PyObject* PyInit__engine() {
    try {
        return quicken::http::python::make_module();
    } catch (const quicken::http::python::Raised&) {
        return nullptr;
    }
}
