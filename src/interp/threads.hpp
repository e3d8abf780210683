// Threads that the prelude leaves: a fork has none of them, and whoever waits
// for one in a command would wait for ever.
#pragma once

#include <cstddef>

namespace quicken::interp {

/// nullptr, or a constant text: there are threads that end neither by a fork nor are known to be safe. Forks.
const char* lost_threads();

}  // namespace quicken::interp
