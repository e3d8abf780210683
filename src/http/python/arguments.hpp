// A handler's second argument: the dict of paths, query, fragment, segments,
// meta, cookie and, for methods with a body, post and files.
#pragma once

#include "http/message.hpp"
#include "http/python/python.hpp"
#include "http/routes.hpp"

namespace quicken::http::python {

/// Makes the keys; once, with Python's lock. Throws Raised.
void prepare_arguments();

/// Throws Raised. post and files are empty.
Ref make_arguments(const http::Request& request, const Match& match);

/// args["post"] of a JSON body. False: it is not JSON, or not well-formed; nothing is set.
bool set_json_post(const http::Request& request, std::string_view body, PyObject* arguments);

}  // namespace quicken::http::python
