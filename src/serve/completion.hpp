// TAB at the prompt: which words may stand at the end of a line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quicken::serve {

/// Words are apart by blanks, and so are those of a command's name: of "add user" and "add group" "ad" gives
/// {"add"}, "add " {"user", "group"}. `line` is what is in front of the cursor.
std::vector<std::string> complete_command(std::string_view line, const std::vector<std::string>& commands);

/// Is there a whole command with arguments begun behind it? Then it is the script that knows what comes.
bool has_arguments(std::string_view line, const std::vector<std::string>& commands);

/// Where the word begins that ends with the line.
std::size_t word_begin(std::string_view line);

/// Characters of UTF-8 text: positions for Python.
std::size_t characters(std::string_view text);

/// What all words begin with, in whole characters.
std::string common_beginning(const std::vector<std::string>& words);

/// As many columns as fit into `width`, each line with its newline.
std::string in_columns(const std::vector<std::string>& words, std::size_t width);

}  // namespace quicken::serve
