// A command of a shared interpreter: its program comes with the client.
#pragma once

#include "python_api.hpp"
#include "request.hpp"

namespace quicken::interp {

/// In a spare that becomes its client's: reads the command line, for sys.argv to be made from it. nullptr, or
/// why only a plain run is right.
const char* read_shared(const Received& received);

/// When all else is the client's, before anything is committed: prepares what the command line names.
/// nullptr, or why only a plain run is right, in words that live until the next call.
const char* begin_shared();

/// Runs the program, as Py_RunMain does. Called with no Python frame on the stack.
PyObject* run_shared();

/// Whether that was a script, after which the interpreter flushes its streams.
bool is_shared_script();

}  // namespace quicken::interp
