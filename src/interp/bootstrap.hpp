// The template's side in Python (bootstrap.py and what CMakeLists.txt puts
// behind it), as code. To compile it takes longer than an interpreter takes to
// start: for the interpreters that the build was told of that is done by the
// build, and any other compiles it at each template's start.
#pragma once

#include "python_api.hpp"

namespace quicken::interp {

/// Empty with an exception set if it does not compile.
Ref bootstrap_code();

}  // namespace quicken::interp
