// A command of a shared interpreter: its program comes with the client.
#pragma once

#include "python_api.hpp"
#include "request.hpp"

namespace quicken::interp {

/// In a spare that has become its client's, before anything is committed: prepares what the client's command
/// line names. nullptr, or why only a plain run is right, in words that live until the next call.
const char* begin_shared(const Received& received);

/// The same, before: so that sys.argv can be made from it. nullptr, or what is wrong with the command line.
const char* read_shared(const Received& received);

/// Runs the program, as Py_RunMain does. Called with no Python frame on the stack.
PyObject* run_shared();

/// Whether that was a script, after which the interpreter flushes its streams.
bool is_shared_script();

}  // namespace quicken::interp
