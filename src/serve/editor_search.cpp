// Ctrl-R: the search in what was typed before, key by key like the rest of the
// line, so that nothing waits while a person thinks. Ctrl-R again finds what is older, Ctrl-G
// gives up; any other key that is no character takes the line and means what it means else.
#include <climits>
#include <cstdio>
#include <cwchar>
#include <string_view>

#include "serve/completion.hpp"
#include "serve/editor.hpp"

namespace quicken::serve {

namespace {

constexpr wchar_t k_older = 0x12;    // Ctrl-R
constexpr wchar_t k_give_up = 0x07;  // Ctrl-G
constexpr wchar_t k_backspace = 0x08;
constexpr wchar_t k_delete = 0x7f;
constexpr std::size_t k_max_pattern = 1000;  // bytes

std::string narrow(wchar_t character) {
    char bytes[MB_LEN_MAX];
    std::mbstate_t state{};
    const std::size_t size = std::wcrtomb(bytes, character, &state);
    return size == static_cast<std::size_t>(-1) ? "?" : std::string(bytes, size);
}

std::string without_last(std::string text) {
    while (!text.empty() && (text.back() & 0xc0) == 0x80) text.pop_back();
    if (!text.empty()) text.pop_back();
    return text;
}

}  // namespace

void Editor::begin_search() {
    const LineInfo* line = el_line(editor_.get());
    search_ = Search{{line->buffer, line->lastchar}, "", 0, prompt_};
    replace("search '': ", search_->before);
}

void Editor::search_key() {
    wchar_t key = 0;
    if (next_character(editor_.get(), &key) != 1) {
        if (at_end_) end_search();
        return;
    }
    const std::string pattern = search_->pattern;
    if (key == k_older) return look(pattern, pattern.empty() ? 0 : search_->older + 1);
    if (key == k_backspace || key == k_delete) return look(without_last(pattern), 0);
    if (key >= L' ' && pattern.size() < k_max_pattern) return look(pattern + narrow(key), search_->older);
    if (key == k_give_up) {
        replace(search_->prompt, search_->before);
        search_.reset();
        return;
    }
    pending_ = key;
    end_search();
}

/// Where nothing has it the line that was found last stays.
void Editor::look(const std::string& pattern, std::size_t older) {
    search_->pattern = pattern;
    if (pattern.empty()) {
        search_->older = 0;
        return replace("search '': ", search_->before);
    }
    const std::optional<std::string> found = find(pattern, older);
    if (found) search_->older = older;
    const LineInfo* shown = el_line(editor_.get());
    replace((found ? "search '" : "nothing has '") + pattern + "': ",
            found.value_or(std::string(shown->buffer, shown->lastchar)));
}

/// From the newest one on, past so many that have it.
std::optional<std::string> Editor::find(const std::string& pattern, std::size_t older) const {
    HistEvent event;
    for (int more = history(history_.get(), &event, H_FIRST); more >= 0;
         more = history(history_.get(), &event, H_NEXT)) {
        const std::string line = event.str;
        if (line.find(pattern) != std::string::npos && older-- == 0) return line;
    }
    return std::nullopt;
}

void Editor::end_search() {
    const LineInfo* line = el_line(editor_.get());
    replace(search_->prompt, {line->buffer, line->lastchar});
    search_.reset();
}

void Editor::replace(const std::string& prompt, const std::string& text) {
    go_to_begin();
    std::fputs("\033[J", stdout);
    const LineInfo* line = el_line(editor_.get());
    const std::string_view behind(line->cursor, static_cast<std::size_t>(line->lastchar - line->cursor));
    el_cursor(editor_.get(), static_cast<int>(characters(behind)));
    const std::string_view all(line->buffer, static_cast<std::size_t>(line->lastchar - line->buffer));
    el_deletestr(editor_.get(), static_cast<int>(characters(all)));
    el_insertstr(editor_.get(), text.c_str());
    prompt_ = prompt;
    redraw();
}

}  // namespace quicken::serve
