// What the least client sends: this, then `length` bytes of arguments and
// environment as they lie on its stack, and with the first byte its standard
// streams (SCM_RIGHTS). The answer is an exit status, int32_t.
#pragma once

#include <cstdint>

namespace quicken::bench {

struct FloorRequest {
    std::uint32_t argc;
    std::uint32_t length;
};

}  // namespace quicken::bench
