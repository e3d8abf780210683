#include "common/invocation.hpp"

#include "common/dotted.hpp"
#include "common/preload_list.hpp"
#include "common/shebang.hpp"
#include "common/text.hpp"

namespace quicken {

namespace {

using std::string_view;

bool is_tool(string_view word) {
    for (const string_view tool :
         {"status", "explain", "verify", "stop", "restart", "learn", "list", "is-active", "preload", "wrap",
          "unwrap", "reload", "--help", "-h", "--version", "-V"}) {
        if (word == tool) return true;
    }
    return false;
}

Invocation usage(const char* error) {
    return {Invocation::Form::usage, wire::What::file, nullptr, nullptr, nullptr, error};
}

/// Is `*word` the `option`, with its argument attached or in the next word?
/// Then `value` is the argument, nullptr if it is missing, and `word` is at
/// the last word that was used.
bool take_option(char**& word, string_view option, const char*& value) {
    const string_view text = *word;
    if (!starts_with(text, option)) return false;
    const bool is_long = option.size() > 2;
    if (text.size() == option.size()) {
        value = word[1];
        if (value != nullptr) ++word;
        return true;
    }
    if (is_long && text[option.size()] != '=') return false;
    value = *word + option.size() + (is_long ? 1 : 0);
    return true;
}

Invocation program(wire::What what, const char* name, const char* python, char** arguments) {
    if (name == nullptr || *name == '\0') return usage("--file, -m and --entry need an argument");
    if (what == wire::What::entry && !is_entry(name)) {
        return usage("an entry is MODULE:FUNCTION, both Python names");
    }
    if (*arguments != nullptr && string_view(*arguments) == "--") ++arguments;
    return {Invocation::Form::run, what, name, python, arguments, nullptr};
}

/// Everything after it is the script's.
Invocation bare_script(const char* script, const char* python, char** arguments) {
    return {Invocation::Form::run, wire::What::file, script, python, arguments, nullptr};
}

/// `words`: `--launch` or `--launch=ORIGINAL`, then the launcher's path.
Invocation parse_launch(char** words) {
    if (words[1] == nullptr) return usage("--launch is for the files that quickenctl wrap writes");
    string_view option = words[0];
    const char* original =
        take_until(option, '=').size() == string_view(words[0]).size() ? nullptr : option.data();
    Invocation invocation = bare_script(original, nullptr, words + 2);
    invocation.launcher = words[1];
    return invocation;
}

/// From a line `#!PREFIX/bin/quicken /PATH/TO/PYTHON OPTION...`, of which the kernel makes two words.
bool names_python(string_view word) {
    char none[1];  // nobody asks for the options
    TextBuffer options(none);
    string_view python;
    return starts_with(word, "/") && split_python(word, python, options);
}

/// Is `word` --python-option=OPTION? Such words have to follow one another: the invocation refers to them
/// where they are.
bool take_python_option(char** word, Invocation& run) {
    if (!starts_with(*word, k_python_option)) return false;
    if (run.option_count == 0) run.options = word;
    if (run.options + run.option_count != word) run.error = "--python-option=OPTION words must not be apart";
    ++run.option_count;
    return true;
}

/// Of what comes before the program. Nothing is taken if it is not --fork-point.
bool take_fork_point(char**& word, Invocation& run) {
    const char* value = nullptr;
    if (!take_option(word, "--fork-point", value)) return false;
    run.fork_point = wire::ForkPoint::start;
    if (value == nullptr || string_view(value) != "start") run.error = "--fork-point can be start";
    return true;
}

Invocation with_manner(Invocation invocation, const Invocation& manner) {
    if (manner.error != nullptr) return usage(manner.error);
    invocation.fork_point = manner.fork_point;
    invocation.options = manner.options;
    invocation.option_count = manner.option_count;
    return invocation;
}

/// Everything from the first word on that is not ours is python3's.
Invocation parse_python(char** word) {
    Invocation found{Invocation::Form::run, wire::What::python, nullptr, nullptr, nullptr, nullptr};
    for (; *word != nullptr; ++word) {
        if (take_option(word, "--preload", found.name)) {
            if (found.name == nullptr) return usage("--preload needs an argument");
        } else if (take_option(word, "--python", found.python)) {
            if (found.python == nullptr || *found.python == '\0') return usage("--python needs an argument");
        } else {
            break;
        }
    }
    found.arguments = word;
    char text[wire::k_max_name];
    TextBuffer names(text);
    const char* error = found.name != nullptr ? append_preloads(found.name, ',', names) : nullptr;
    return error == nullptr ? found : usage(error);
}

/// By which name of a Python the program was called, or nullptr. The activator gets it, and gives it back,
/// behind a ':'.
const char* python_of_link(const char* called) {
    for (const char* prefix : {k_activated_name, k_activate_name}) {
        if (!starts_with(called, prefix)) continue;
        called += string_view(prefix).size();
        if (*called++ != ':') return nullptr;
        break;
    }
    const char* name = base_name(called).data();
    return is_python(name) ? name : nullptr;
}

Invocation parse_run(char** word) {
    const char* python = nullptr;
    const char* value = nullptr;
    Invocation manner{};
    const auto run = [&](wire::What what) {
        return with_manner(program(what, value, python, word + 1), manner);
    };
    for (; *word != nullptr; ++word) {
        if (take_option(word, "--file", value)) return run(wire::What::file);
        if (take_option(word, "--entry", value)) return run(wire::What::entry);
        if (take_option(word, "-m", value)) return run(wire::What::module);
        if (take_python_option(word, manner) || take_fork_point(word, manner)) continue;
        const string_view text = *word;
        if (text == "--help" || text == "-h" || text == "--learn") {
            return {Invocation::Form::tool, wire::What::file, nullptr, nullptr, nullptr, nullptr};
        }
        if (!starts_with(text, "-") && !text.empty())
            return with_manner(bare_script(*word, python, word + 1), manner);
        if (!take_option(word, "--python", python)) {
            return usage(
                "run takes --learn, --python INTERPRETER, --python-option=OPTION and --fork-point start, "
                "then --file SCRIPT, -m MODULE, --entry MODULE:FUNCTION or SCRIPT");
        }
        if (python == nullptr || *python == '\0') return usage("--python needs an argument");
    }
    return usage("run needs --file SCRIPT, -m MODULE, --entry MODULE:FUNCTION or SCRIPT");
}

}  // namespace

Invocation parse(char** argv) {
    const Invocation tool{Invocation::Form::tool, wire::What::file, nullptr, nullptr, nullptr, nullptr};
    if (argv[0] == nullptr) return tool;
    if (const char* link = python_of_link(argv[0])) {
        return {Invocation::Form::run,
                wire::What::python,
                nullptr,
                nullptr,
                argv + 1,
                nullptr,
                nullptr,
                wire::ForkPoint::automatic,
                nullptr,
                0,
                link};
    }
    if (argv[1] == nullptr) return tool;
    const string_view word = argv[1];
    if (word == "run") return parse_run(argv + 2);
    if (word == "python") return parse_python(argv + 2);
    if (word == "serve") {
        return {Invocation::Form::serve, wire::What::file, nullptr, nullptr, argv + 2, nullptr};
    }
    if (is_tool(word)) return tool;
    if (word == "--launch" || starts_with(word, "--launch=")) return parse_launch(argv + 1);
    if (starts_with(word, "-")) return usage("there is no such option");
    if (!names_python(word)) return bare_script(argv[1], nullptr, argv + 2);
    if (argv[2] == nullptr) return usage("after an interpreter there has to be a script");
    if (*argv[2] == '-') return usage("options of an interpreter belong into one word with it");
    return bare_script(argv[2], argv[1], argv + 3);
}

}  // namespace quicken
