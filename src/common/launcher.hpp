// The file that `quickenctl wrap` writes, a launcher, which stands for a script, its original:
//
//     #!PREFIX/bin/quicken --launch=ORIGINAL
//     raise SystemExit(...)
//
// The kernel hands the client all that it needs, so that it does no system call more than for the original.
// Where the kernel would not pass the path as it is (it takes 255 bytes, ends at a line break, drops blanks
// at the end), the first line has only --launch and the path is all that follows the second, with a line
// break. The second line is for who has Python read the file: to Python the first one is a comment.
//
// Freestanding, as target.hpp is.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/shebang.hpp"
#include "common/wire.hpp"

namespace quicken {

inline constexpr std::string_view k_launch_option = " --launch";
inline constexpr std::string_view k_launcher_refusal =
    "raise SystemExit(__file__ + ': a launcher of quickenctl wrap: to be executed, not to be read by "
    "Python')\n";
/// Bytes of a launcher at most.
inline constexpr std::size_t k_launcher_size =
    k_shebang_size + k_launcher_refusal.size() + wire::k_max_name + 2;

/// The original's absolute path if `content` is all of a launcher, else empty.
std::string_view original_in(std::string_view content);

/// The same of a file, read into `buffer` with a NUL after the path. 0, or errno: ENOEXEC if it is
/// no launcher. A link is followed.
int read_launcher(const char* path, char (&buffer)[k_launcher_size + 1], std::string_view& original);

}  // namespace quicken
