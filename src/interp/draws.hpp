// Whether a prelude draws random numbers: every command would have the same.
//
// getrandom(2), from which the interpreter has os.urandom() and the seeds of
// random.Random(), is interposed. Code in C that calls it itself is not
// noted: what it seeds so (a hash table of its own) is nobody's secret.
#pragma once

#include "python_api.hpp"

namespace quicken::interp {

/// Gives watch.py its function take_draws(): how many seeds were drawn since the last call, plus 65536 times
/// how often random bytes were. False with an exception set.
bool add_draw_function(PyObject* names);

}  // namespace quicken::interp
