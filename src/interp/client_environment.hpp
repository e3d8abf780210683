// A client's environment for C and for Python.
#pragma once

#include <cstddef>
#include <cstdint>

#include "python_api.hpp"

namespace quicken::interp {

/// Pointers to `count` strings that lie end to end, and nullptr after them; from malloc. nullptr if they do
/// not end within `size` bytes, or there is no memory.
char** environment_strings(char* text, std::size_t size, std::uint32_t count);

/// As the interpreter makes posix.environ: the first of several equal names wins, what has no name is left
/// out. nullptr with an exception set if there is no memory.
Ref environment_dict(char** strings);

}  // namespace quicken::interp
