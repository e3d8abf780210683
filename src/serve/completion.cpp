#include "serve/completion.hpp"

#include <algorithm>
#include <set>

namespace quicken::serve {

namespace {

using std::string_view;

/// Without the blanks in front, which mean nothing.
string_view stripped(string_view line) {
    const std::size_t begin = line.find_first_not_of(' ');
    return begin == string_view::npos ? string_view() : line.substr(begin);
}

bool is_tail(char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

}  // namespace

std::size_t word_begin(string_view line) {
    const std::size_t blank = line.rfind(' ');
    return blank == string_view::npos ? 0 : blank + 1;
}

std::vector<std::string> complete_command(string_view line, const std::vector<std::string>& commands) {
    const string_view text = stripped(line);
    const std::size_t begin = word_begin(text);
    std::set<std::string> words;
    for (const std::string& command : commands) {
        if (!string_view(command).starts_with(text)) continue;
        words.insert(command.substr(begin, command.find(' ', begin) - begin));
    }
    return {words.begin(), words.end()};
}

bool has_arguments(string_view line, const std::vector<std::string>& commands) {
    const string_view text = stripped(line);
    return std::any_of(commands.begin(), commands.end(), [&](const std::string& command) {
        return text.size() > command.size() && text.starts_with(command) && text[command.size()] == ' ';
    });
}

std::size_t characters(string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !is_tail(c); }));
}

std::string common_beginning(const std::vector<std::string>& words) {
    if (words.empty()) return "";
    std::string common = words.front();
    for (const std::string& word : words) {
        const auto differs = std::mismatch(common.begin(), common.end(), word.begin(), word.end()).first;
        std::size_t length = static_cast<std::size_t>(differs - common.begin());
        while (length > 0 && length < common.size() && is_tail(common[length])) --length;
        common.resize(length);
    }
    return common;
}

std::string in_columns(const std::vector<std::string>& words, std::size_t width) {
    std::size_t longest = 0;
    for (const std::string& word : words) longest = std::max(longest, characters(word));
    const std::size_t columns = std::max<std::size_t>(1, width / (longest + 2));
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        text += words[i];
        const bool last = i + 1 == words.size() || (i + 1) % columns == 0;
        text += last ? "\n" : std::string(longest + 2 - characters(words[i]), ' ');
    }
    return text;
}

}  // namespace quicken::serve
