// A line that is being edited on the terminal, by libedit, one byte after the
// other as they come: the loop never waits for a key.
//
// The terminal has libedit's modes only while a line is shown; whoever else is to have it, the script's
// command, a shell, hides the line first. A terminal whose foreground is somebody else's is not touched.
#pragma once

#include <histedit.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace quicken::serve {

class Editor {
 public:
    struct Events {
        std::function<void(const std::string&)> line;  // without its newline
        std::function<void()> tab;
        std::function<void()> end;  // Ctrl-D on an empty line, or no terminal any more
    };

    /// For standard input and output. Throws Error.
    explicit Editor(Events events);
    ~Editor();
    Editor(const Editor&) = delete;
    Editor& operator=(const Editor&) = delete;

    /// Shows the prompt and the line as it was when it was hidden.
    void show(const std::string& prompt);
    void hide();
    bool shown() const { return shown_; }
    /// Of a byte that waits.
    void read();
    void resize();

    void remember(const std::vector<std::string>& lines);
    void remember(const std::string& line);

    std::string before_cursor() const;
    void insert(const std::string& text);
    /// Above the line.
    void print(const std::vector<std::string>& words);

    /// May we read from the terminal and set its modes?
    static bool in_foreground();

 private:
    struct End {
        void operator()(EditLine* editor) const;
        void operator()(History* history) const { history_end(history); }
    };

    static char* prompt_of(EditLine* editor);
    static int next_character(EditLine* editor, wchar_t* character);
    static unsigned char complete(EditLine* editor, int character);
    void close_line();
    void go_to_begin();
    void redraw();

    // Ctrl-R (editor_search.cpp): libedit's own search would wait for each key.
    struct Search {
        std::string before;  // the line when it began
        std::string pattern;
        std::size_t older = 0;  // lines that have it and are passed over
        std::string prompt;     // otherwise
    };
    static unsigned char search(EditLine* editor, int character);
    void begin_search();
    void search_key();
    std::optional<std::string> find(const std::string& pattern, std::size_t older) const;
    void look(const std::string& pattern, std::size_t older);
    void end_search();
    void replace(const std::string& prompt, const std::string& line);

    Events events_;
    std::unique_ptr<History, End> history_;
    std::unique_ptr<EditLine, End> editor_;
    std::string prompt_;
    std::string hidden_line_;
    int hidden_cursor_ = 0;  // characters
    bool shown_ = false;
    bool unfinished_ = false;  // hidden while the foreground was somebody else's
    bool at_end_ = false;
    bool wants_completion_ = false;
    bool wants_search_ = false;
    std::optional<Search> search_;
    std::optional<wchar_t> pending_;  // a key that has ended the search
};

}  // namespace quicken::serve
