// One process, from posix_spawn(3) (glibc: like vfork, so that the driver's
// size does not count) to the return of waitpid(2).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "driver/spec.hpp"

namespace quicken::bench {

struct Outcome {
    std::int64_t nanoseconds = 0;
    int status = 0;  // waitpid(2)
};

/// A row's strings as posix_spawn takes them; they are the row's.
class Command {
 public:
    explicit Command(const Row& row);

    /// `streams` become 0, 1 and 2. Throws Error if it cannot be started. Thread-safe.
    Outcome run(const int streams[3]) const;

 private:
    const Row* row_;
    std::vector<char*> arguments_;
    std::vector<char*> environment_;
};

/// CLOCK_MONOTONIC, in nanoseconds.
std::int64_t now();

/// From here on a SIGTERM, or SIGALRM (a block that takes too long), kills what is running and ends this
/// process.
void end_children_with_us();

}  // namespace quicken::bench
