// Who asks for the time while the prelude runs: what a prelude keeps of it is
// another run's (clock.py).
//
// clock_gettime(2), gettimeofday(2) and time(2) are interposed, as Python's
// `time` and `datetime` and everybody else's clocks come down to them: so the
// program's own `time.time` stays what it is. They do what the C library's do;
// while the prelude runs they also note the globals of the Python code that
// the main thread is in. Nothing is allocated and nothing waits.
#pragma once

#include <Python.h>

namespace quicken::interp {

/// From here on reads of the main thread, which is the caller's, are noted. Needs the interpreter.
void watch_clocks();

void unwatch_clocks();

/// A new dictionary for clock.py: address of a module's globals: its clocks, a sum of 1 (of the day), 2
/// (since the boot), 4 (of the processor); under 0 those of anybody, if they were too many. nullptr with an
/// exception set.
PyObject* clock_readers();

}  // namespace quicken::interp
