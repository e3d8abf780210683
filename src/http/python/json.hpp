// JSON as quick_server writes it: json.dumps(value, indent=2, sort_keys=True)
// to the byte, but NaN and the infinities are the strings "NaN", "Infinity" and
// "-Infinity".
#pragma once

#include <string>

#include "http/python/python.hpp"

namespace quicken::http::python {

/// Appends the value's JSON, ASCII. False: not one of exact dict (with str keys), list, tuple, str, int,
/// float, bool and None all through, or too deep; then `out` is as before and Python has to do it.
bool write_json(PyObject* value, std::string& out);

/// The same, by Python's json where the former cannot. Throws Raised.
std::string dump_json(PyObject* value);

/// Once, before read_json(). False: Python's error is set.
bool prepare_json();

/// A whole JSON text as Python's json has it; none (without an error set): it is for Python to say why not.
Ref read_json(std::string_view text);

}  // namespace quicken::http::python
