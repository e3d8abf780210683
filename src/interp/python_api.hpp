// The part of CPython's stable ABI that the hook uses, resolved by name in
// the interpreter that it was preloaded into: Debian's static python3 exports
// it, other builds have it in their own libpython. Nothing is linked, so one
// file serves every CPython from 3.8, and nothing is left to be resolved
// lazily after a fork (20-30 µs a command).
#pragma once

#define Py_LIMITED_API 0x03080000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace quicken::interp {

/// PyStatus of PEP 587; the same in every version since 3.8, though not part of the limited API.
struct PyStatus {
    enum Type { ok = 0, error = 1, exit = 2 } type;
    const char* function;
    const char* message;
    int exit_code;
};

/// PyConfig is opaque here: its size differs by version (about 500 bytes). The functions that fill it are
/// exported by every version since 3.8.
struct alignas(16) PyConfigStorage {
    unsigned char bytes[16384];
};

// clang-format off
#define QUICKEN_PYTHON_FUNCTIONS(X)                                                                        \
    X(PyBytes_FromStringAndSize) X(PyCFunction_GetFunction) X(PyCFunction_GetSelf) X(PyCFunction_NewEx)     \
    X(PyDict_Contains) X(PyDict_DelItem) X(PyDict_GetItemString)                                            \
    X(PyDict_New) X(PyDict_SetItem) X(PyDict_SetItemString) X(PyErr_CheckSignals) X(PyErr_Clear) X(PyErr_ExceptionMatches)        \
    X(PyErr_Fetch) X(PyErr_NormalizeException) X(PyErr_Occurred) X(PyErr_PrintEx) X(PyErr_Restore) X(PyErr_SetFromErrno)          \
    X(PyErr_SetString) X(PyErr_WriteUnraisable) X(PyEval_EvalCode) X(PyEval_GetBuiltins) X(PyEval_GetGlobals) X(PyEval_RestoreThread) X(PyEval_SaveThread) \
    X(PyFile_WriteObject) X(PyGILState_GetThisThreadState) X(PyLong_FromVoidPtr)                            \
    X(PyFile_WriteString) X(PyGC_Collect)                                                                   \
    X(PyImport_AddModule) X(PyImport_GetImporter) X(PyImport_GetModuleDict) X(PyImport_ImportModule) X(PyImport_GetMagicNumber)        \
    X(PyList_Append) X(PyList_GetItem) X(PyList_New) X(PyList_SetSlice) X(PyList_Size) X(PyObject_SetAttr)  \
    X(PyLong_AsLong) X(PyLong_FromLong) X(PyModule_GetDict)                                                 \
    X(PyOS_AfterFork_Child) X(PyOS_AfterFork_Parent) X(PyOS_BeforeFork) X(PyObject_CallFunctionObjArgs)     \
    X(PyObject_Call) X(PyObject_CallObject) X(PyObject_GetAttrString) X(PyObject_IsTrue) X(PyObject_Str) X(PyObject_Type) X(PySys_GetObject)  \
    X(PyTuple_New) X(PyTuple_SetItem) X(PyTuple_GetItem) X(PyTuple_Size) X(PyType_GetFlags)                                 \
    X(PyUnicode_AsUTF8String) X(PyBytes_AsString) X(PyBytes_Size)                                                           \
    X(PyUnicode_DecodeFSDefault) X(PyUnicode_FromString) X(Py_CompileString) X(Py_DecRef)                   \
    X(Py_FinalizeEx) X(Py_GetVersion) X(Py_IncRef)

#define QUICKEN_PYTHON_OBJECTS(X)                                                                          \
    X(PyExc_KeyboardInterrupt) X(PyExc_OSError) X(PyExc_SystemExit)
// clang-format on

/// Function pointers under the names of the functions, and what the limited API does not declare.
struct PythonApi {
#define QUICKEN_DECLARE(name) decltype(&::name) name;
    QUICKEN_PYTHON_FUNCTIONS(QUICKEN_DECLARE)
#undef QUICKEN_DECLARE
#define QUICKEN_DECLARE(name) PyObject** name;
    QUICKEN_PYTHON_OBJECTS(QUICKEN_DECLARE)
#undef QUICKEN_DECLARE
    PyObject* none;
    PyObject* (*PyRun_FileExFlags)(FILE*, const char*, int, PyObject*, PyObject*, int, void*);
    PyObject* (*PyRun_StringFlags)(const char*, int, PyObject*, PyObject*, void*);
    void (*PyConfig_InitPythonConfig)(PyConfigStorage*);
    PyStatus (*PyConfig_SetBytesArgv)(PyConfigStorage*, Py_ssize_t, char* const*);
    void (*PyConfig_Clear)(PyConfigStorage*);
    PyStatus (*Py_InitializeFromConfig)(const PyConfigStorage*);
    void (*PyErr_FormatUnraisable)(const char*, ...);  // nullptr before 3.13
    PyObject* (*PyMarshal_ReadObjectFromString)(const char*, Py_ssize_t);  // nullptr if it is not exported
    PyThreadState* (*PyThreadState_GetUnchecked)();    // under whichever name it has
    int (*PySys_AddAuditHook)(int (*)(const char*, PyObject*, void*), void*);
};

/// Filled by load_python(); constant afterwards.
extern PythonApi py;

/// Resolves the table. Returns nullptr, or the name that this process lacks: it is then not a CPython >= 3.8.
const char* load_python();

/// Whether code at this address is the interpreter's own, and no other library's.
bool is_interpreter(const void* address);

/// A reference that is ours. Needs the GIL.
class Ref {
 public:
    Ref() = default;
    explicit Ref(PyObject* owned) : object_(owned) {}
    static Ref borrow(PyObject* object) {
        if (object != nullptr) py.Py_IncRef(object);
        return Ref(object);
    }
    Ref(Ref&& other) noexcept : object_(other.release()) {}
    Ref& operator=(Ref&& other) noexcept {
        if (this != &other) {
            reset();
            object_ = other.release();
        }
        return *this;
    }
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;
    ~Ref() { reset(); }

    PyObject* get() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }
    PyObject* release() {
        PyObject* object = object_;
        object_ = nullptr;
        return object;
    }
    void reset() {
        if (object_ != nullptr) py.Py_DecRef(object_);
        object_ = nullptr;
    }

 private:
    PyObject* object_ = nullptr;
};

}  // namespace quicken::interp
