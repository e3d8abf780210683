#include "ctl/excerpt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "common/dropin.hpp"
#include "common/text.hpp"

namespace quicken::ctl {
namespace {

constexpr std::size_t k_context = 2;  // lines
constexpr std::size_t k_shown = 8;    // lines of either text
constexpr std::size_t k_width = 160;  // bytes of a line

using Lines = std::vector<std::string_view>;

Lines lines_of(std::string_view text) {
    Lines lines;
    const bool whole = text.empty() || text.back() == '\n';
    while (!text.empty()) {
        lines.push_back(take_until(text, '\n'));
    }
    if (!whole) {
        lines.emplace_back("\\ no newline at the end");
    }
    return lines;
}

void put(std::string& out, char mark, std::string_view line) {
    out += mark;
    out += dropin::printable(line.substr(0, k_width));
    out += line.size() > k_width ? "...\n" : "\n";
}

void put_some(std::string& out, char mark, std::span<const std::string_view> lines) {
    for (const std::string_view line : lines.first(std::min(lines.size(), k_shown))) {
        put(out, mark, line);
    }
    if (lines.size() > k_shown) {
        out += fmt::format("{}... {} more lines\n", mark, lines.size() - k_shown);
    }
}

}  // namespace

std::string excerpt(std::string_view plain, std::string_view quickened) {
    if (plain == quickened) {
        return {};
    }
    const Lines old = lines_of(plain), now = lines_of(quickened);
    const auto first = static_cast<std::size_t>(
        std::mismatch(old.begin(), old.end(), now.begin(), now.end()).first - old.begin());
    std::size_t tail = 0;
    while (tail < std::min(old.size(), now.size()) - first &&
           old[old.size() - 1 - tail] == now[now.size() - 1 - tail]) {
        ++tail;
    }
    std::string out = fmt::format("--- plain\n+++ quickened\n@@ line {} @@\n", first + 1);
    for (std::size_t i = first - std::min(first, k_context); i < first; ++i) {
        put(out, ' ', old[i]);
    }
    put_some(out, '-', std::span(old).subspan(first, old.size() - tail - first));
    put_some(out, '+', std::span(now).subspan(first, now.size() - tail - first));
    for (std::size_t i = old.size() - tail; i < std::min(old.size(), old.size() - tail + k_context); ++i) {
        put(out, ' ', old[i]);
    }
    return out;
}

}  // namespace quicken::ctl
