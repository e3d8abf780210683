// Calls of C functions of the interpreter that a prelude makes, told to a hook
// before they are done. The function object stays what it is, to whoever holds
// it since whenever: what is exchanged is the C function in its definition
// (PyMethodDef), and unwatch_calls() puts it back.
#pragma once

#include "python_api.hpp"

namespace quicken::interp {

/// Python's `watch_call(function, hook)`: `function` is a builtin function or a method bound to anything.
/// From now on hook(self, *args, **options) is called before it, except by bootstrap.py itself and within
/// another hook. It returns None; or a tuple, whose item is then the result and nothing is called; or a
/// function of one argument, which is called afterwards with whether the call has failed. What a hook raises
/// nobody sees but unwatch_calls().
extern PyMethodDef watch_call_method;

/// Python's `unwatch_calls()`: all functions are as they were. The name of one whose hook has failed, or
/// None.
extern PyMethodDef unwatch_calls_method;

}  // namespace quicken::interp
