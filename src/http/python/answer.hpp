// What a handler has returned, as an answer.
#pragma once

#include <optional>

#include "http/message.hpp"
#include "http/python/python.hpp"
#include "http/routes.hpp"

namespace quicken::http::python {

/// A result that its route natively knows: a str or bytes for text, an exact built-in type for JSON. None:
/// the script's finish() has to make it one. Throws Raised.
std::optional<http::Response> native_answer(Route::Kind kind, PyObject* result);

/// Of the tuple (status, reason, fields, body) that finish() and fail() give; none: of None. Throws Raised.
std::optional<http::Response> answer_of(PyObject* tuple);

}  // namespace quicken::http::python
