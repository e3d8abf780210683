// Three ways lead to a Python: the kernel's own; env(1), which searches along
// PATH and with -S splits words; and sh(1), where a path is too long for the
// kernel or has a blank in it. Of the last two only what is plain enough is
// understood here: what a wrong guess would run is another Python.
#include "common/shebang.hpp"

namespace quicken {

namespace {

using std::string_view;

/// What distlib, and with it pip, begins a script with whose interpreter the kernel could not find: a string
/// to Python, a command to sh(1).
constexpr string_view k_shell_opening = "#!/bin/sh\n'''exec' ";
constexpr string_view k_shell_ending = "\"$0\" \"$@\"";

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

string_view trim(string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

string_view take_word(string_view& text) {
    text = trim(text);
    std::size_t length = 0;
    while (length < text.size() && !is_blank(text[length])) ++length;
    const string_view word(text.data(), length);
    text.remove_prefix(length);
    return word;
}

bool has_any(string_view text, string_view characters) {
    for (const char c : text) {
        if (contains(characters, c)) return true;
    }
    return false;
}

void add_option(string_view option, TextBuffer& options) {
    options.append(option).append(string_view("", 1));
}

void be_python(string_view python, Shebang& shebang) {
    shebang.kind = Shebang::Kind::python;
    shebang.python = python;
}

/// After the word quicken: an interpreter, its path maybe with blanks; nothing, if it is to be searched for.
void read_quicken(string_view rest, Shebang& shebang) {
    shebang.kind = Shebang::Kind::quicken;
    if (rest == "--launch" || starts_with(rest, "--launch=")) shebang.kind = Shebang::Kind::launcher;
    if (starts_with(rest, "/")) split_python(rest, shebang.python, shebang.options);
}

/// The same where env(1) has split it: also `quicken run --python INTERPRETER`.
void read_quicken_words(string_view words, Shebang& shebang) {
    shebang.kind = Shebang::Kind::quicken;
    string_view word = take_word(words);
    if (word != "run") return read_quicken(word, shebang);
    word = take_word(words);
    if (starts_with(word, "--python=")) {
        word.remove_prefix(9);
        shebang.python = word;
    } else if (word == "--python") {
        shebang.python = take_word(words);
    }
}

/// Words that env(1) -S splits; what they mean beyond blanks is its alone.
void read_split(string_view words, Shebang& shebang) {
    if (has_any(words, "'\"\\$#")) {
        shebang.plain = "the #! line needs env(1) to be understood";
        return;
    }
    string_view word = take_word(words);
    if (is_python(word)) {
        be_python(word, shebang);
        while (!trim(words).empty()) add_option(take_word(words), shebang.options);
        return;
    }
    // Options of env or assignments before a Python; before anything else they
    // have had their effect already (`env -S A=1 quicken`).
    for (; !word.empty(); word = take_word(words)) {
        if (base_name(word) == "quicken") return read_quicken_words(words, shebang);
        if (is_python(word)) shebang.plain = "the #! line needs env(1) to be run";
    }
}

void read_env(string_view rest, Shebang& shebang) {
    for (const string_view split : {"-S", "--split-string="}) {
        if (!starts_with(rest, split)) continue;
        rest.remove_prefix(split.size());
        return read_split(rest, shebang);
    }
    if (is_python(rest)) be_python(rest, shebang);
    if (base_name(rest) == "quicken") shebang.kind = Shebang::Kind::quicken;
}

/// `line` is what follows "#!". The kernel makes one word of all that follows
/// the interpreter.
void read_line(string_view line, Shebang& shebang) {
    shebang.kind = Shebang::Kind::other;
    shebang.interpreter = take_word(line);
    const string_view rest = trim(line);
    const string_view name = base_name(shebang.interpreter);
    if (is_python(name)) {
        be_python(shebang.interpreter, shebang);
        if (!rest.empty()) add_option(rest, shebang.options);
    } else if (name == "env") {
        read_env(rest, shebang);
    } else if (name == "quicken") {
        read_quicken(rest, shebang);
    }
}

/// A word of sh(1), in quotes or without. False if only a shell can say what it is.
bool take_shell_word(string_view& text, string_view& word) {
    text = trim(text);
    const char quote = text.empty() ? '\0' : text.front();
    if (quote != '"' && quote != '\'') {
        word = take_word(text);
        return !word.empty() && !has_any(word, "'\"\\$`;&|<>()*?[]{}~#");
    }
    text.remove_prefix(1);
    if (!contains(text, quote)) return false;
    word = take_until(text, quote);
    return (quote == '\'' || !has_any(word, "$`\\")) && !text.empty() && is_blank(text.front());
}

/// `line`: interpreter, options, the script and its arguments.
bool read_shell_command(string_view line, Shebang& shebang) {
    string_view python;
    if (!take_shell_word(line, python) || !is_python(python)) return false;
    for (line = trim(line); line != k_shell_ending; line = trim(line)) {
        string_view option;
        if (!take_shell_word(line, option)) return false;
        add_option(option, shebang.options);
    }
    be_python(python, shebang);
    return true;
}

}  // namespace

string_view base_name(string_view path) {
    for (std::size_t end = path.size(); end > 0; --end) {
        if (path[end - 1] == '/') return {path.data() + end, path.size() - end};
    }
    return path;
}

bool is_python(string_view path) {
    string_view name = base_name(path);
    if (!starts_with(name, "python")) return false;
    name.remove_prefix(6);
    for (const char c : name) {
        if (c != '.' && (c < '0' || c > '9')) return false;
    }
    return true;
}

bool split_python(string_view text, string_view& python, TextBuffer& options) {
    for (std::size_t end = 0; end <= text.size(); ++end) {
        if (end < text.size() && !is_blank(text[end])) continue;
        string_view rest = trim({text.data() + end, text.size() - end});
        if (!rest.empty() && rest.front() != '-') continue;
        if (!is_python({text.data(), end})) continue;
        python = {text.data(), end};
        while (!rest.empty()) add_option(take_word(rest), options);
        return true;
    }
    return false;
}

void read_shebang(string_view content, Shebang& shebang) {
    if (!starts_with(content, "#!")) return;
    const bool whole = content.size() < k_shebang_size || contains(content, '\n');
    if (starts_with(content, k_shell_opening)) return read_shell_lines(content, shebang);
    content.remove_prefix(2);
    string_view line = take_until(content, '\n');
    read_line(take_until(line, '\0'), shebang);
    if (!whole) shebang.plain = "the #! line is too long";
}

bool needs_shell_lines(string_view content) {
    if (content.size() < k_shebang_size || !starts_with(content, k_shell_opening)) return false;
    content.remove_prefix(k_shell_opening.size());
    return !contains(content, '\n');
}

void read_shell_lines(string_view content, Shebang& shebang) {
    shebang.kind = Shebang::Kind::other;
    shebang.interpreter = "/bin/sh";
    content.remove_prefix(k_shell_opening.size());
    if (!contains(content, '\n') || !read_shell_command(take_until(content, '\n'), shebang)) {
        shebang.options.adopt(0);
        shebang.plain = "its second line needs sh(1) to be understood";
    }
}

}  // namespace quicken
