// The Python type Engine.
#pragma once

#include "http/python/python.hpp"

namespace quicken::http::python {

/// The type, made once; `request_type` is the least that request types are to be. nullptr: Python's error.
PyObject* make_engine_type(PyObject* request_type);

/// In the child of a fork: all engines that serve let go of their descriptors.
void abandon_all();

}  // namespace quicken::http::python
