// What the beginning of a script says of who runs it: its #! line (execve(2)).
//
// Freestanding, as target.hpp is.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/text.hpp"
#include "common/wire.hpp"

namespace quicken {

/// What the kernel reads of a #! line, execve(2).
inline constexpr std::size_t k_shebang_size = 255;
/// What has to be read of a script whose interpreter sh(1) finds: two lines, one with a path.
inline constexpr std::size_t k_shell_lines_size = wire::k_max_name + 512;

struct Shebang {
    enum class Kind {
        none,      // there is no #! line
        other,     // of neither a Python nor quicken
        python,    // directly, by env(1), or by sh(1) in the way that pip writes long paths
        quicken,   // quicken itself, which may name a Python
        launcher,  // of what `quickenctl wrap` writes (launcher.hpp)
    };
    explicit Shebang(const TextBuffer& room) : options(room) {}

    Kind kind = Kind::none;
    std::string_view interpreter;  // the line's first word
    std::string_view python;       // as the line names it; empty if it names none
    TextBuffer options;            // the Python's; each ends with a NUL
    const char* plain = nullptr;   // not nullptr: it cannot be understood, and this is why
};

/// `content`: the first k_shebang_size bytes of a script, or all. The result refers to it.
void read_shebang(std::string_view content, Shebang& shebang);

/// Only more of the script tells: its first k_shell_lines_size bytes are to be read by read_shell_lines().
bool needs_shell_lines(std::string_view content);
void read_shell_lines(std::string_view content, Shebang& shebang);

/// "/path/to/python" or "/path/to/python -I -u": what follows quicken on a #! line, or --python. The
/// path may have blanks in it. False if it names no Python; the options get a NUL each.
bool split_python(std::string_view text, std::string_view& python, TextBuffer& options);

/// python, python3, python3.11 with or without directories: not pypy, and not python3-config either.
bool is_python(std::string_view path);

/// What follows the last "/".
std::string_view base_name(std::string_view path);

}  // namespace quicken
