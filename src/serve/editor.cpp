#include "serve/editor.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string_view>
#include <utility>

#include "common/error.hpp"
#include "serve/completion.hpp"
#include "serve/history_file.hpp"

namespace quicken::serve {

namespace {

constexpr int k_sequence = 100;  // ms until the next byte of a key's sequence or of a character
constexpr char k_complete[] = "quicken-complete";
constexpr char k_search[] = "quicken-search";

Editor& self(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<Editor*>(data);
}

std::size_t terminal_width() {
    winsize size{};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool has_byte() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    return poll(&input, 1, k_sequence) > 0;
}

}  // namespace

/// libedit gives the terminal its first modes back, unless it is somebody else's by now.
void Editor::End::operator()(EditLine* editor) const {
    if (in_foreground()) el_end(editor);
}

bool Editor::in_foreground() {
    const pid_t group = tcgetpgrp(STDIN_FILENO);
    return group < 0 || group == getpgrp();  // without job control there is no background
}

Editor::Editor(Events events) : events_(std::move(events)), history_(history_init()) {
    std::setlocale(LC_CTYPE, "");
    editor_.reset(el_init("quicken serve", stdin, stdout, stderr));
    if (!editor_ || !history_) throw Error("the terminal's line editor cannot be started");
    EditLine* editor = editor_.get();
    HistEvent event;
    history(history_.get(), &event, H_SETSIZE, static_cast<int>(k_history_lines));
    history(history_.get(), &event, H_SETUNIQUE, 1);
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, prompt_of);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, history, history_.get());
    el_set(editor, EL_GETCFN, next_character);
    el_set(editor, EL_ADDFN, k_complete, "complete a command", complete);
    el_set(editor, EL_BIND, "^I", k_complete, nullptr);
    el_set(editor, EL_ADDFN, k_search, "search what was typed", search);
    el_set(editor, EL_BIND, "^R", k_search, nullptr);
    el_source(editor, nullptr);  // ~/.editrc; what it has is the user's wish
}

Editor::~Editor() {
    hide();
}

char* Editor::prompt_of(EditLine* editor) {
    return self(editor).prompt_.data();
}

/// Called for the first byte when there is one; for others, which come with it, for a moment only.
int Editor::next_character(EditLine* editor, wchar_t* character) {
    Editor& own = self(editor);
    if (own.pending_) {
        *character = *std::exchange(own.pending_, std::nullopt);
        return 1;
    }
    std::mbstate_t state{};
    for (;;) {
        if (!has_byte()) return 0;
        char byte = 0;
        if (::read(STDIN_FILENO, &byte, 1) != 1) {
            own.at_end_ = in_foreground();
            return 0;
        }
        const std::size_t used = std::mbrtowc(character, &byte, 1, &state);
        if (used == static_cast<std::size_t>(-2)) continue;
        if (used == static_cast<std::size_t>(-1)) {
            *character = L'?';
        } else if (used == 0) {
            *character = L'\0';
        }
        return 1;
    }
}

unsigned char Editor::complete(EditLine* editor, int) {
    self(editor).wants_completion_ = true;
    return CC_NORM;
}

unsigned char Editor::search(EditLine* editor, int) {
    self(editor).wants_search_ = true;
    return CC_NORM;
}

void Editor::show(const std::string& prompt) {
    if (shown_ || !in_foreground()) return;
    if (std::exchange(unfinished_, false)) close_line();
    prompt_ = prompt;
    shown_ = true;
    el_set(editor_.get(), EL_UNBUFFERED, 1);
    if (hidden_line_.empty()) return;
    const std::string line = std::exchange(hidden_line_, {});
    go_to_begin();
    el_insertstr(editor_.get(), line.c_str());
    el_cursor(editor_.get(), hidden_cursor_ - static_cast<int>(characters(line)));
    redraw();
}

void Editor::hide() {
    if (!shown_) return;
    search_.reset();  // the line stays as it was found
    const LineInfo* line = el_line(editor_.get());
    hidden_line_.assign(line->buffer, line->lastchar);
    hidden_cursor_ = static_cast<int>(
        characters(std::string_view(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer))));
    if (!in_foreground()) {
        // The foreground has its own modes by now, which are not to be touched: later.
        shown_ = false;
        unfinished_ = true;
        return;
    }
    go_to_begin();
    std::fputs("\033[J", stdout);
    close_line();
}

void Editor::close_line() {
    shown_ = false;
    el_set(editor_.get(), EL_UNBUFFERED, 0);
}

/// Of the prompt, from where libedit draws anew. A line may have several rows.
void Editor::go_to_begin() {
    const std::size_t before = characters(prompt_) + characters(before_cursor());
    const std::size_t rows = before / terminal_width();
    if (rows > 0) fmt::print("\033[{}A", rows);
    std::fputs("\r", stdout);
    std::fflush(stdout);
}

void Editor::redraw() {
    el_set(editor_.get(), EL_REFRESH);
}

void Editor::read() {
    if (!shown_) return;
    at_end_ = wants_completion_ = wants_search_ = false;
    if (search_) search_key();
    if (search_) return;
    int count = 0;
    const char* text = el_gets(editor_.get(), &count);
    if (at_end_) {
        close_line();
        return events_.end();
    }
    if (wants_completion_) return events_.tab();
    if (wants_search_) return begin_search();
    if (text == nullptr || count <= 0) return;
    if (count == 1 && text[0] == '\004') {
        close_line();
        std::fputs("\n", stdout);
        std::fflush(stdout);
        return events_.end();
    }
    const char last = text[count - 1];
    if (last != '\n' && last != '\r') return;
    const std::string line(text, static_cast<std::size_t>(count - 1));
    close_line();
    events_.line(line);
}

void Editor::resize() {
    el_resize(editor_.get());
    if (shown_) redraw();
}

void Editor::remember(const std::vector<std::string>& lines) {
    HistEvent event;
    history(history_.get(), &event, H_CLEAR);
    for (const std::string& line : lines) remember(line);
}

void Editor::remember(const std::string& line) {
    HistEvent event;
    history(history_.get(), &event, H_ENTER, line.c_str());
}

std::string Editor::before_cursor() const {
    const LineInfo* line = el_line(editor_.get());
    return {line->buffer, line->cursor};
}

void Editor::insert(const std::string& text) {
    go_to_begin();
    el_insertstr(editor_.get(), text.c_str());
    redraw();
}

void Editor::print(const std::vector<std::string>& words) {
    fmt::print("\n{}", in_columns(words, terminal_width()));
    std::fflush(stdout);
    redraw();
}

}  // namespace quicken::serve
