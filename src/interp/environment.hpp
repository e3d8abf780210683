// Which environment variables a prelude has read through the C library.
//
// getenv(3) and its kin are interposed. What they do is what the C library's do:
// they search `environ`; they also note the name while the prelude runs. They
// may be called before any constructor has run, from any thread and with any
// lock held: nothing is allocated and nothing waits.
#pragma once

#include <cstddef>

namespace quicken::interp {

/// Whether reads are noted from now on. They are from the start of the process.
void note_variables(bool wanted);

/// Names that were read, each with a NUL, end to end. nullptr if there were too many to note.
const char* noted_variables(std::size_t& size);

}  // namespace quicken::interp
