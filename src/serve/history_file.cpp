#include "serve/history_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "common/fd.hpp"

namespace quicken::serve {

namespace {

constexpr std::size_t k_max_line = 64 << 10;
constexpr char k_libedit_mark[] = "_HiStOrY_V2_";  // its first line, by libedit's own functions

std::vector<std::string> read_lines(const std::string& path) {
    std::vector<std::string> lines;
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (!line.empty() && line.size() <= k_max_line && line != k_libedit_mark) lines.push_back(line);
    }
    return lines;
}

bool append(const std::string& path, const std::string& text, int flags) {
    const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600));
    return fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void cut(std::vector<std::string>& lines) {
    if (lines.size() > k_history_lines)
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(k_history_lines));
}

}  // namespace

std::vector<std::string> read_history(const std::string& path) {
    std::vector<std::string> lines = read_lines(path);
    cut(lines);
    return lines;
}

void add_to_history(const std::string& path, const std::string& line) {
    if (line.size() > k_max_line || !append(path, line + "\n", O_APPEND)) return;
    std::vector<std::string> lines = read_lines(path);
    if (lines.size() < 2 * k_history_lines) return;
    cut(lines);
    std::string text;
    for (const std::string& one : lines) text += one + "\n";
    const std::string temporary = path + "." + std::to_string(getpid());
    if (!append(temporary, text, O_TRUNC) || std::rename(temporary.c_str(), path.c_str()) != 0)
        unlink(temporary.c_str());
}

}  // namespace quicken::serve
