// What a program says to us (src/python/quicken): audit events of its own,
// which go to nobody in a plain run (PEP 578). So nothing of ours has to be
// found by a program, neither a module nor a name, and a fork point is one
// wherever the call is made.
//
//  quicken.present  appends True to the list that it has as argument
//  quicken.start    the fork point, in a template whose fork point is a call
//  quicken.done     the status that the client is to end with now
#pragma once

#include "python_api.hpp"

namespace quicken::interp {

bool is_spoken(const char* event);

/// Called by an audit hook: 0, or -1 with an exception set.
int hear(const char* event, PyObject* arguments);

}  // namespace quicken::interp
