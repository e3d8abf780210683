#include "list_type.hpp"

namespace quicken::interp {

namespace {

/// An instance holds a reference to its type if that is made by Python code, as object_set_class of CPython
/// has it.
PyObject* set_type(PyObject*, PyObject* arguments) {
    PyObject* object = py.PyTuple_GetItem(arguments, 0);
    PyObject* type = py.PyTuple_GetItem(arguments, 1);
    const Ref known(py.PyObject_Type(object));
    auto* before = reinterpret_cast<PyObject*>(object->ob_type);
    if (before == known.get() && before != type) {
        object->ob_type = reinterpret_cast<PyTypeObject*>(type);
        py.Py_DecRef(before);
    }
    return Ref::borrow(py.none).release();
}

}  // namespace

PyMethodDef set_type_method = {"set_type", set_type, METH_VARARGS, nullptr};

}  // namespace quicken::interp
