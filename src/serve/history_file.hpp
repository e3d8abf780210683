// The lines that were typed at the prompt, in a file: one a line, as readline
// writes it, so that what the script's history was under Python is still there.
#pragma once

#include <string>
#include <vector>

namespace quicken::serve {

inline constexpr std::size_t k_history_lines = 1000;

/// The last lines of the file; none if it cannot be read.
std::vector<std::string> read_history(const std::string& path);

/// Adds a line. A file that has grown to twice as many lines is cut. A history that cannot be written is
/// none.
void add_to_history(const std::string& path, const std::string& line);

}  // namespace quicken::serve
