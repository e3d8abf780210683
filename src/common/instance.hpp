// Which server serves a target.
//
// Freestanding, as target.hpp is.
#pragma once

#include <sys/types.h>

#include "common/target.hpp"
#include "common/wire.hpp"

namespace quicken {

/// The server for `target`: hashes it, the settings that an interpreter reads
/// only at its start (PYTHON*, LD_*, LC_*, LANG, LANGUAGE, TZ, GLIBC_TUNABLES,
/// MALLOC_*; in any order), the effective group id, the supplementary groups
/// of the calling process (in any order) and quicken's version.
/// XXH3 (xxHash), 128 bits. `group`: the effective group id, where it is known.
wire::Instance instance_of(const Target& target, char** environment, gid_t group);
wire::Instance instance_of(const Target& target, char** environment);

/// 32 hexadecimal digits and a NUL.
void format(const wire::Instance& instance, char (&text)[33]);

}  // namespace quicken
