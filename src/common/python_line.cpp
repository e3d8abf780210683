#include "common/python_line.hpp"

namespace quicken {

namespace {

using std::string_view;

constexpr string_view k_nul("", 1);
constexpr const char* k_option = "an interpreter option asks for something else than running a program";

/// -X of which nothing is seen but in the program itself. importtime and others tell of what is imported.
bool is_servable_setting(string_view text) {
    string_view name = text;
    name = take_until(name, '=');
    for (const string_view known :
         {"utf8", "int_max_str_digits", "no_debug_ranges", "warn_default_encoding", "frozen_modules"}) {
        if (name == known) return true;
    }
    return false;
}

/// Goes through the words as getopt(3) does, with the letters of the interpreter.
class Reader {
 public:
    Reader(char** words, TextBuffer* options) : word_(words), options_(options) {}

    PythonLine read() {
        for (; *word_ != nullptr; ++word_) {
            const string_view text = *word_;
            if (text.size() < 2 || text[0] != '-') break;
            if (text == "--") {
                ++word_;
                break;
            }
            if (!read_options(*word_ + 1)) return line_;
        }
        if (*word_ == nullptr || string_view(*word_) == "-")
            return no_program("the program comes from standard input");
        return program(PythonLine::Kind::file, *word_);
    }

 private:
    /// The letters of one word. False once the line is complete.
    bool read_options(char* letter) {
        char* const first = letter;
        for (; *letter != '\0'; ++letter) {
            if (!contains("cmWX", *letter)) {
                if (contains("BEIOPqRstu", *letter)) continue;
                no_program(k_option);
                return false;
            }
            keep_letters(first, letter);
            const char which = *letter;
            char* value = argument_of(letter);
            if (value == nullptr) {
                no_program("an interpreter option has no argument");
                return false;
            }
            if (which == 'c' || which == 'm') {
                line_ = program(which == 'c' ? PythonLine::Kind::code : PythonLine::Kind::module, value);
                return false;
            }
            if (which == 'X' && !is_servable_setting(value)) {
                no_program(k_option);
                return false;
            }
            keep(which == 'X' ? "-X" : "-W", value);
            return true;
        }
        keep_letters(first, letter);
        return true;
    }

    /// The rest of the word, or else the next one; nullptr if there is none.
    char* argument_of(char* letter) {
        if (letter[1] != '\0') return letter + 1;
        if (word_[1] == nullptr) return nullptr;
        return *++word_;
    }

    void keep_letters(const char* first, const char* end) {
        if (options_ == nullptr || first == end) return;
        options_->append("-").append({first, static_cast<std::size_t>(end - first)}).append(k_nul);
    }

    void keep(string_view option, string_view value) {
        if (options_ != nullptr) options_->append(option).append(k_nul).append(value).append(k_nul);
    }

    PythonLine program(PythonLine::Kind kind, const char* value) const {
        return {kind, value, word_ + 1, nullptr};
    }

    PythonLine no_program(const char* reason) {
        line_ = {PythonLine::Kind::none, nullptr, word_, reason};
        return line_;
    }

    char** word_;
    TextBuffer* options_;
    PythonLine line_;
};

}  // namespace

PythonLine read_python_line(char** words, TextBuffer* options) {
    return Reader(words, options).read();
}

}  // namespace quicken
