// Which environment variables a prelude has read through the C library, and
// which ones never tell one client from another.
//
// getenv(3) and its kin are interposed. What they do is what the C library's do:
// they search `environ`; they also note the name while the prelude runs. They
// may be called before any constructor has run, from any thread and with any
// lock held: nothing is allocated and nothing waits.
#pragma once

#include <cstddef>

namespace quicken::interp {

/// Alike for all clients of a server, as they are part of its instance (target.cpp), or quicken's own. A
/// pattern with a '*' at its end is a prefix.
inline constexpr char k_settled_variables[] =
    "PYTHON* LD_* LC_* LANG LANGUAGE TZ GLIBC_TUNABLES MALLOC_* QUICKEN_*";

/// May differ if a prelude has read the environment as a whole, and not these by name before: a shell
/// changes them with every command, a terminal with every window.
inline constexpr char k_passing_variables[] = "_ SHLVL OLDPWD WINDOWID";

/// Whether one of the patterns, separated by blanks, fits a name.
bool is_among(const char* patterns, const char* name, std::size_t length);

/// Whether reads are noted from now on. They are from the start of the process.
void note_variables(bool wanted);

/// Names that were read, each with a NUL, end to end. nullptr if there were too many to note.
const char* noted_variables(std::size_t& size);

}  // namespace quicken::interp
