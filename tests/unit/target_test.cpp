// Real files in a directory of the test's own: what resolve() finds is what
// the kernel would find.
#define BOOST_TEST_MODULE target
#include "common/target.hpp"
#include "common/instance.hpp"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/included/unit_test.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/launcher.hpp"

namespace fs = std::filesystem;
using quicken::Invocation;
using quicken::wire::What;

namespace {

/// Strings as execve(2) takes them.
class Strings {
 public:
    Strings(std::initializer_list<std::string> texts) : texts_(texts) { point(); }
    explicit Strings(std::vector<std::string> texts) : texts_(std::move(texts)) { point(); }
    operator char**() { return pointers_.data(); }

 private:
    void point() {
        for (std::string& text : texts_) pointers_.push_back(text.data());
        pointers_.push_back(nullptr);
    }
    std::vector<std::string> texts_;
    std::vector<char*> pointers_;
};

struct Directory {
    Directory() {
        char name[] = "/tmp/quicken-target-XXXXXX";
        if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
        path = name;
        before = fs::current_path();
        fs::current_path(path);
    }
    ~Directory() {
        fs::current_path(before);
        fs::remove_all(path);
    }
    std::string file(const std::string& name, const std::string& content, int mode = 0755) const {
        const fs::path full = fs::path(path) / name;
        fs::create_directories(full.parent_path());
        std::ofstream(full) << content;
        chmod(full.c_str(), static_cast<mode_t>(mode));
        return full;
    }
    std::string path;
    fs::path before;
};

struct Resolved {
    std::unique_ptr<quicken::Storage> storage = std::make_unique<quicken::Storage>();
    quicken::Target target{};
    std::string plain;
    std::string options;  // each option followed by "|"
};

Resolved resolve(What what, const std::string& name, const char* python,
                 std::vector<std::string> environment) {
    Resolved result;
    Strings settings(std::move(environment));
    result.target = quicken::resolve(what, name.c_str(), python, settings, *result.storage);
    result.plain = result.target.plain != nullptr ? result.target.plain : "";
    for (const char c : result.target.options) result.options += c == '\0' ? '|' : c;
    return result;
}

/// As the kernel starts the client for a launcher.
Resolved launch(const std::string& option, const std::string& launcher) {
    Resolved result;
    Strings environment({"PATH=/usr/bin"});
    Strings argv({"quicken", "--launch" + option, launcher, "x"});
    result.target = quicken::resolve(quicken::parse(argv), environment, *result.storage);
    result.plain = result.target.plain != nullptr ? result.target.plain : "";
    return result;
}

std::string instance(const quicken::Target& target, std::vector<std::string> environment) {
    Strings settings(std::move(environment));
    char text[33];
    quicken::format(quicken::instance_of(target, settings), text);
    return text;
}

}  // namespace

// Each word lands where the two forms of the command line say.
BOOST_AUTO_TEST_CASE(parse_command_lines) {
    struct Row {
        std::vector<std::string> words;
        Invocation::Form form;
        What what;
        std::string name;
        std::string python;
        std::vector<std::string> arguments;
    };
    using Form = Invocation::Form;
    const Row rows[] = {
        {{}, Form::tool, {}, {}, {}, {}},
        {{"status"}, Form::tool, {}, {}, {}, {}},
        {{"stop", "x"}, Form::tool, {}, {}, {}, {}},
        {{"is-active"}, Form::tool, {}, {}, {}, {}},
        {{"explain"}, Form::tool, {}, {}, {}, {}},
        {{"verify"}, Form::tool, {}, {}, {}, {}},
        {{"--help"}, Form::tool, {}, {}, {}, {}},
        {{"--version"}, Form::tool, {}, {}, {}, {}},
        {{"run", "--help"}, Form::tool, {}, {}, {}, {}},
        {{"reload"}, Form::tool, {}, {}, {}, {}},
        {{"serve"}, Form::serve, {}, {}, {}, {}},
        {{"serve", "--www", "."}, Form::serve, {}, {}, {}, {}},
        {{"./serve"}, Form::run, What::file, "./serve", "", {}},
        {{"./status"}, Form::run, What::file, "./status", "", {}},
        {{"x.py", "--help", "--", "-m"}, Form::run, What::file, "x.py", "", {"--help", "--", "-m"}},
        {{"x.py", "--"}, Form::run, What::file, "x.py", "", {"--"}},
        {{"", "a"}, Form::run, What::file, "", "", {"a"}},
        {{"-x"}, Form::usage, {}, {}, {}, {}},
        {{"-m", "x"}, Form::usage, {}, {}, {}, {}},
        {{"run"}, Form::usage, {}, {}, {}, {}},
        {{"run", "x.py"}, Form::run, What::file, "x.py", "", {}},
        {{"run", "--python"}, Form::usage, {}, {}, {}, {}},
        {{"run", "--python", "", "-m", "x"}, Form::usage, {}, {}, {}, {}},
        {{"run", "--python", "python3"}, Form::usage, {}, {}, {}, {}},
        {{"run", "--pythonic", "-m", "x"}, Form::usage, {}, {}, {}, {}},
        {{"run", "-m"}, Form::usage, {}, {}, {}, {}},
        {{"run", "-m", ""}, Form::usage, {}, {}, {}, {}},
        {{"run", "--file", "x.py"}, Form::run, What::file, "x.py", "", {}},
        {{"run", "--file=x.py", "a"}, Form::run, What::file, "x.py", "", {"a"}},
        {{"run", "--file", "x.py", "--", "--", "a"}, Form::run, What::file, "x.py", "", {"--", "a"}},
        {{"run", "--file", "x.py", "--python", "p"}, Form::run, What::file, "x.py", "", {"--python", "p"}},
        {{"run", "--python", "p", "-mjson.tool", "-"}, Form::run, What::module, "json.tool", "p", {"-"}},
        {{"run", "--python=p", "-m", "m"}, Form::run, What::module, "m", "p", {}},
        {{"preload", "list"}, Form::tool, {}, {}, {}, {}},
        {{"python", "--preload"}, Form::usage, {}, {}, {}, {}},
        {{"python", "--preload", "a b", "x"}, Form::usage, {}, {}, {}, {}},
        {{"python", "--python="}, Form::usage, {}, {}, {}, {}},
        {{"python", "--preload=a,b", "--python", "p", "-c", "x"},
         Form::run,
         What::python,
         "a,b",
         "p",
         {"-c", "x"}},
        {{"python", "--preload", "", "x", "--preload", "y"},
         Form::run,
         What::python,
         "",
         "",
         {"x", "--preload", "y"}},
        {{"run", "--entry", "a.b:c.d", "x"}, Form::run, What::entry, "a.b:c.d", "", {"x"}},
        {{"run", "--python", "p", "x.py", "--", "a"}, Form::run, What::file, "x.py", "p", {"--", "a"}},
        {{"run", "--python", "p", ""}, Form::usage, {}, {}, {}, {}},
        {{"/opt/python3", "x", "-a"}, Form::run, What::file, "x", "/opt/python3", {"-a"}},
        {{"/my opt/python3 -I -X a", "x"}, Form::run, What::file, "x", "/my opt/python3 -I -X a", {}},
        {{"/opt/python3"}, Form::usage, {}, {}, {}, {}},
        {{"/opt/python3", "-I", "x"}, Form::usage, {}, {}, {}, {}},
        {{"./python3", "x"}, Form::run, What::file, "./python3", "", {"x"}},
        {{"/opt/python3-config", "x"}, Form::run, What::file, "/opt/python3-config", "", {"x"}},
        {{"/opt/python3 x", "y"}, Form::run, What::file, "/opt/python3 x", "", {"y"}},
        {{"--launch=/a=b", "l", "--", "x"}, Form::run, What::file, "/a=b", "", {"--", "x"}},
        {{"--launch=/a"}, Form::usage, {}, {}, {}, {}},
        {{"--launch"}, Form::usage, {}, {}, {}, {}},
        {{"--launched", "x"}, Form::usage, {}, {}, {}, {}},
        {{"run", "--fork-point", "start", "-m", "m", "a"}, Form::run, What::module, "m", "", {"a"}},
        {{"run", "--fork-point", "end", "-m", "m"}, Form::usage, {}, {}, {}, {}},
        {{"run", "--fork-point"}, Form::usage, {}, {}, {}, {}},
        {{"run", "--python-option=-O", "--python=p", "-m", "m"}, Form::run, What::module, "m", "p", {}},
        {{"run", "--python-option=-O", "--python=p", "--python-option=-B", "-m", "m"},
         Form::usage,
         {},
         {},
         {},
         {}},
    };
    for (const Row& row : rows) {
        std::vector<std::string> words = row.words;
        words.insert(words.begin(), "quicken");
        BOOST_TEST_CONTEXT(words.size() << " words, the last is " << words.back()) {
            Strings argv(words);
            const Invocation invocation = quicken::parse(argv);
            BOOST_TEST((invocation.form == row.form));
            if (row.form == Form::usage) BOOST_TEST(invocation.error != nullptr);
            if (row.form != Form::run || invocation.form != row.form) continue;
            BOOST_TEST((invocation.what == row.what));
            BOOST_TEST(invocation.name == row.name);
            BOOST_TEST(std::string(invocation.python != nullptr ? invocation.python : "") == row.python);
            std::vector<std::string> arguments;
            for (char** word = invocation.arguments; *word != nullptr; ++word) arguments.emplace_back(*word);
            BOOST_TEST(arguments == row.arguments, boost::test_tools::per_element());
        }
    }
}

// No text gets into the code of an entry that is not a dotted name.
/// By which name the program was called, the activator's way of passing it on among them.
BOOST_AUTO_TEST_CASE(links) {
    const auto link = [](const char* called) {
        Strings argv({called, "-c", "x"});
        const Invocation invocation = quicken::parse(argv);
        return std::string(invocation.link != nullptr ? invocation.link : "");
    };
    for (const char* name : {"python", "python3", "python3.11"}) {
        BOOST_TEST(link(name) == name);
        BOOST_TEST(link((std::string("/usr/local/bin/") + name).c_str()) == name);
        BOOST_TEST(link((std::string("quicken-activate:") + name).c_str()) == name);
        BOOST_TEST(link((std::string("quicken-activated:") + name).c_str()) == name);
    }
    for (const char* name :
         {"quicken", "python3-config", "pypy3", "quicken-activated", "quicken-activate", "", "/"})
        BOOST_TEST(link(name) == "");
}

BOOST_AUTO_TEST_CASE(entries_are_validated) {
    for (const char* entry : {"", ":", "a", "a:", ":b", "a:b:c", "a..b:c", "a.:c", ".a:c", "a:b.", "1a:b",
                              "a:2", "a b:c", "a:b()", "a:b'", "a;x:b", "a\n:b", "a-b:c", "a:b [extra]"}) {
        BOOST_TEST_CONTEXT(entry) {
            char text[1024];
            BOOST_TEST(!quicken::entry_code(entry, text, sizeof text));
            Strings argv{"quicken", "run", "--entry", entry};
            BOOST_TEST((quicken::parse(argv).form == Invocation::Form::usage));
        }
    }
    char text[1024];
    BOOST_TEST(quicken::entry_code("a._b9:c.d", text, sizeof text));
    BOOST_TEST(std::string(text).ends_with(
        "from a._b9 import c\nif __name__ == '__main__':\n    sys.exit(c.d())\n"));
    BOOST_TEST(std::string(text).find("sys.argv[0] = 'a._b9:c.d'\n") != std::string::npos);
    char small[64];
    BOOST_TEST(!quicken::entry_code("a:b", small, sizeof small));
    BOOST_TEST(small[0] == '\0');
}

// The #! line decides about interpreter, options and fitness for a server.
BOOST_AUTO_TEST_CASE(shebang_lines) {
    const Directory directory;
    const std::string other = directory.file("bin/python3.9", "");
    const std::string standard = directory.file("bin/python3", "");
    const std::string spaced = directory.file("bin/python2.7", "");
    const std::string path = "PATH=" + directory.path + "/bin";
    const std::string long_blank(300, ' ');
    const std::string very_long(1000, 'x');
    const std::string shell = "#!/bin/sh\n'''exec' ";  // as distlib writes it
    struct Row {
        std::string line;
        std::string interpreter;
        std::string options;
        bool plain;
    };
    const Row rows[] = {
        {"", standard, "", false},
        {"import os\n", standard, "", false},
        {"#!/opt/python3\n", "/opt/python3", "", false},
        {"#!/opt//x/./python3\n", "/opt/x/python3", "", false},
        {"#!/opt/../python3\n", "/opt/../python3", "", false},
        {"#!  /opt/python3  \n", "/opt/python3", "", false},
        {"#!\t/opt/python3.11\t-u\n", "/opt/python3.11", "-u|", false},
        {"#!/opt/python", "/opt/python", "", false},
        {"#!/opt/pypy3\n", standard, "", false},
        {"#!/opt/python3-config\n", standard, "", false},
        {"#!/bin/sh\n", standard, "", false},
        {"#!\n", standard, "", false},
        {"#!/usr/bin/quicken\n", standard, "", false},
        {"#!/usr/bin/env quicken\n", standard, "", false},
        {"#!/usr/bin/env -S quicken run --file\n", standard, "", false},
        {"#!/usr/bin/env -S quicken run --python python3.9 --file\n", other, "", false},
        {"#!/usr/bin/env -S quicken run --python=/opt/python3\n", "/opt/python3", "", false},
        {"#!/usr/bin/env -S /opt/quicken run --learn --file\n", standard, "", false},
        {"#!/opt/quicken /opt/python3\n", "/opt/python3", "", false},
        {"#!/opt/quicken /my opt/python3 -I -X dev\n", "/my opt/python3", "-I|-X|dev|", false},
        {"#!/opt/quicken /my python 3/python3.9  -u\n", "/my python 3/python3.9", "-u|", false},
        {"#!/opt/quicken /opt/python3 -i\n", "/opt/python3", "-i|", true},
        {"#!/opt/quicken python3.9\n", standard, "", false},
        {"#!/usr/bin/env python3.9\n", other, "", false},
        {"#! /usr/bin/env  python3.9 \n", other, "", false},
        {"#!/usr/bin/env python3.9 -u\n", standard, "", false},  // one word: env finds no such name
        {"#!/usr/bin/env -S python3.9 -u  -X dev\n", other, "-u|-X|dev|", false},
        {"#!/usr/bin/env -Spython3.9 -W error\n", other, "-W|error|", false},
        {"#!/usr/bin/env --split-string=python3.9 -E\n", other, "-E|", false},
        {"#!/usr/bin/env -S /opt/python3 -I\n", "/opt/python3", "-I|", false},
        {"#!/usr/bin/env -S A=1 python3.9\n", standard, "", true},
        {"#!/usr/bin/env -S -i python3.9\n", standard, "", true},
        {"#!/usr/bin/env -S A=1 quicken\n", standard, "", false},
        {"#!/usr/bin/env -S python3.9 -X 'dev'\n", standard, "", true},
        {"#!/usr/bin/env -S ${HOME}/python3.9\n", standard, "", true},
        {"#!/opt/python3 -Wignore::x\n", "/opt/python3", "-Wignore::x|", false},
        {"#!/opt/python3 -bBdEIOPqRsStuv\n", "/opt/python3", "-bBdEIOPqRsStuv|", false},
        {"#!/opt/python3 -X\n", "/opt/python3", "-X|", true},  // would take the script
        {"#!/opt/python3 -E -s\n", "/opt/python3", "-E -s|", true},
        {"#!/opt/python3 -i\n", "/opt/python3", "-i|", true},
        {"#!/opt/python3 -ui\n", "/opt/python3", "-ui|", true},
        {"#!/opt/python3 -Xi\n", "/opt/python3", "-Xi|", false},
        {"#!/opt/python3 -uWi\n", "/opt/python3", "-uWi|", false},
        {"#!/opt/python3 -m\n", "/opt/python3", "-m|", true},
        {"#!/opt/python3 -c\n", "/opt/python3", "-c|", true},
        {"#!/opt/python3 -V\n", "/opt/python3", "-V|", true},
        {"#!/opt/python3 -x\n", "/opt/python3", "-x|", true},
        {"#!/opt/python3 -h\n", "/opt/python3", "-h|", true},
        {"#!/opt/python3 -?\n", "/opt/python3", "-?|", true},
        {"#!/opt/python3 -\n", "/opt/python3", "-|", true},
        {"#!/opt/python3 --\n", "/opt/python3", "--|", true},
        {"#!/opt/python3 --version\n", "/opt/python3", "--version|", true},
        {"#!/opt/python3 --check-hash-based-pycs=never\n", "/opt/python3", "--check-hash-based-pycs=never|",
         true},
        {"#!/opt/python3 other.py\n", "/opt/python3", "other.py|", true},
        {"#!/usr/bin/env -S python3.9 -X i -i\n", other, "-X|i|-i|", true},
        {"#!" + long_blank + "/opt/python3\n", standard, "", true},
        {shell + "/opt/python3 \"$0\" \"$@\"\n' '''\n", "/opt/python3", "", false},
        {shell + "\"/my opt/python3\" \"$0\" \"$@\"\n", "/my opt/python3", "", false},
        {shell + "'/my $opt/python3' -E -s \"$0\" \"$@\"\n", "/my $opt/python3", "-E|-s|", false},
        {shell + "/" + very_long + "/python3 -I \"$0\" \"$@\"\n", "/" + very_long + "/python3", "-I|", false},
        {shell + "/" + std::string(5000, 'x') + "/python3 \"$0\" \"$@\"\n", standard, "", true},
        {shell + "\"/$HOME/python3\" \"$0\" \"$@\"\n", standard, "", true},
        {shell + "\"$(dirname -- \"$0\")\"/python3 \"$0\" \"$@\"\n", standard, "", true},
        {shell + "/opt/python3 \"$@\"\n", standard, "", true},
        {shell + "/opt/python3 -E; \"$0\" \"$@\"\n", standard, "", true},
        {shell + "/opt/pypy3 \"$0\" \"$@\"\n", standard, "", true},
        {shell + "/opt/python3", standard, "", true},
        {"#!/" + std::string(243, 'x') + "/python3\n", "/" + std::string(243, 'x') + "/python3", "", false},
        {"#!/" + std::string(244, 'x') + "/python3\n", "/" + std::string(244, 'x') + "/python3", "", true},
    };
    for (const Row& row : rows) {
        BOOST_TEST_CONTEXT(row.line) {
            const std::string script = directory.file("script", row.line);
            const Resolved result = resolve(What::file, script, nullptr, {path});
            BOOST_TEST(std::string(result.target.interpreter) == row.interpreter);
            BOOST_TEST(result.options == row.options);
            BOOST_TEST(!result.plain.empty() == row.plain, result.plain);
            // --python overrides the #! line and all of its options.
            const Resolved given = resolve(What::file, script, "/opt/own", {path});
            BOOST_TEST(std::string(given.target.interpreter) == "/opt/own");
            BOOST_TEST((given.options.empty() && given.plain.empty()));
        }
    }
}

// The original of a launcher is what runs, by its own path, and nothing but a Python script is served.
BOOST_AUTO_TEST_CASE(launchers) {
    const Directory directory;
    const std::string line = "#!/opt/bin/quicken --launch";
    const std::string refusal(quicken::k_launcher_refusal);
    const std::string script = directory.file("a script", "#!/opt/python3 -I\n");
    const std::pair<std::string, std::string> forms[] = {{"=" + script, line + "=" + script + "\n" + refusal},
                                                         {"", line + "\n" + refusal + script + "\n"}};
    for (const auto& [option, content] : forms) {
        const std::string launcher = directory.file("launcher", content);
        const Resolved result = launch(option, launcher);
        BOOST_TEST(result.plain == "");
        BOOST_TEST(std::string(result.target.original) == script);
        BOOST_TEST(std::string(result.target.interpreter) == "/opt/python3");
        const Resolved same = resolve(What::file, script, nullptr, {"PATH=/usr/bin"});
        BOOST_TEST(instance(result.target, {}) == instance(same.target, {}));
        // Named as a script it is executed, and named as an original it is not.
        const Resolved named = resolve(What::file, launcher, nullptr, {"PATH=/usr/bin"});
        BOOST_TEST(named.plain == "it is a launcher");
        BOOST_TEST(named.target.original == launcher);
        const Resolved again = launch("=" + launcher, launcher);
        BOOST_TEST((again.target.original == nullptr && again.target.interpreter.empty()));
        BOOST_TEST(again.target.interpreter_error == ELOOP);
    }
}

// One byte less or more, and it is not what quickenctl has written.
BOOST_AUTO_TEST_CASE(almost_launchers) {
    const Directory directory;
    const std::string line = "#!/opt/bin/quicken --launch";
    const std::string refusal(quicken::k_launcher_refusal);
    const std::string too_long(5000, 'x');
    for (const std::string& content :
         {std::string(), line, line + "\n", line + "=/x", line + "=/x\n", line + "=/x\n" + refusal + "x",
          line + "=x\n" + refusal, line + "=\n" + refusal, line + "\n" + refusal,
          line + "\n" + refusal + "/x", line + "\n" + refusal + "x\n",
          line + "\n" + refusal + "/" + too_long + "\n", "#!quicken --launch=/x\n" + refusal,
          "#!/opt/quickens --launch=/x\n" + refusal}) {
        BOOST_TEST_CONTEXT(content) {
            const Resolved result = launch("", directory.file("launcher", content));
            BOOST_TEST((result.target.original == nullptr && result.target.interpreter.empty()));
            BOOST_TEST(result.target.interpreter_error == ENOEXEC);
        }
    }
    BOOST_TEST(launch("", directory.path + "/gone").target.interpreter_error == ENOENT);
}

// It is then executed as it is, and whether that is worth a word is told.
BOOST_AUTO_TEST_CASE(originals_that_have_changed) {
    const Directory directory;
    struct Row {
        std::string content;
        int mode;
        bool changed;
    };
    for (const Row& row : {Row{"#!/bin/sh\n", 0755, true}, Row{"\177ELF", 0755, true}, Row{"", 0755, true},
                           Row{"#!/opt/bin/quicken\n", 0755, false}, Row{"#!/opt/python3\n", 0644, false},
                           Row{"#!/usr/bin/env -S A=1 python3\n", 0755, false}}) {
        BOOST_TEST_CONTEXT(row.content) {
            const Resolved result =
                launch("=" + directory.file("changed", row.content, row.mode), directory.path + "/launcher");
            BOOST_TEST(result.plain != "");
            BOOST_TEST(result.target.changed == row.changed);
            BOOST_TEST(result.target.original != nullptr);
        }
    }
    BOOST_TEST(launch("=" + directory.path + "/gone", "launcher").plain != "");
}

BOOST_AUTO_TEST_CASE(interpreter_of_the_environment) {
    const Directory directory;
    const std::string first = directory.file("one/python3", "");
    const std::string second = directory.file("two/python3", "");
    const std::string denied = directory.file("denied/python3", "", 0644);
    const std::string here = directory.file("python3", "");
    fs::create_directories(directory.path + "/dir/python3");
    const std::string venv = directory.file("venv/bin/python", "");
    const std::string script = directory.file("script", "");
    const std::string& d = directory.path;
    const std::string very_long(5000, 'x');
    struct Row {
        std::vector<std::string> environment;
        const char* python;
        std::string interpreter;
        int error;
    };
    const Row rows[] = {
        {{"PATH=" + d + "/one:" + d + "/two"}, nullptr, first, 0},
        {{"PATH=" + d + "/none:" + d + "/two"}, nullptr, second, 0},
        {{"PATH=" + d + "/denied:" + d + "/two"}, nullptr, second, 0},
        {{"PATH=" + d + "/dir:" + d + "/two"}, nullptr, second, 0},
        {{"PATH=" + very_long + ":" + d + "/two"}, nullptr, second, 0},
        {{"PATH=" + d + "/denied"}, nullptr, "", EACCES},
        {{"PATH=" + d + "/dir"}, nullptr, "", ENOENT},
        {{"PATH=/nonexistent"}, nullptr, "", ENOENT},
        {{"PATH="}, nullptr, here, 0},
        {{"PATH=:" + d + "/one"}, nullptr, here, 0},
        {{"PATH=/nonexistent:"}, nullptr, here, 0},
        {{"PATH=/nonexistent::" + d + "/one"}, nullptr, here, 0},
        {{"PATH=two"}, nullptr, second, 0},
        {{"PATH=./one//"}, nullptr, first, 0},
        {{"PATH=" + d + "/one"}, "python4", "", ENOENT},
        {{"PATH=" + d + "/one"}, "two/python3", second, 0},
        {{"PATH=" + d + "/one"}, "./two/../one/python3", d + "/two/../one/python3", 0},
        {{"PATH=" + d + "/one"}, "/opt/absent", "/opt/absent", 0},
        {{"PATH=" + d + "/one", "VIRTUAL_ENV=" + d + "/venv"}, nullptr, venv, 0},
        {{"PATH=" + d + "/one", "VIRTUAL_ENV=venv"}, nullptr, venv, 0},
        {{"PATH=" + d + "/one", "VIRTUAL_ENV="}, nullptr, first, 0},
        {{"PATH=" + d + "/one", "VIRTUAL_ENV=/nonexistent"}, nullptr, first, 0},
        {{"PATH=" + d + "/one", "VIRTUAL_ENV=" + d + "/venv"}, "python3", first, 0},
    };
    for (const Row& row : rows) {
        BOOST_TEST_CONTEXT(row.environment[0].substr(0, 200)) {
            const Resolved result = resolve(What::file, script, row.python, row.environment);
            BOOST_TEST(std::string(result.target.interpreter) == row.interpreter);
            BOOST_TEST(result.target.interpreter_error == row.error);
            const std::string name = row.python != nullptr ? row.python : "python3";
            if (row.error == ENOENT) BOOST_TEST(result.plain == name + ": No such file or directory");
            if (row.error == EACCES) BOOST_TEST(result.plain == name + ": Permission denied");
            if (row.error == 0) BOOST_TEST(result.plain == "");
        }
    }
}

// Only a regular file is opened: the test would hang on a FIFO.
BOOST_AUTO_TEST_CASE(programs) {
    const Directory directory;
    const std::string script = directory.file("a/script.py", "");
    fs::create_directory_symlink(directory.path + "/a", directory.path + "/link");
    mkfifo((directory.path + "/fifo").c_str(), 0600);
    const std::vector<std::string> environment{"PATH=/usr/bin"};

    for (const auto& [typed, name] :
         std::initializer_list<std::pair<std::string, std::string>>{{"a/script.py", "/a/script.py"},
                                                                    {"./a/./script.py", "/a/script.py"},
                                                                    {"a//script.py", "/a/script.py"},
                                                                    {"a/../a/script.py", "/a/../a/script.py"},
                                                                    {"link/script.py", "/link/script.py"},
                                                                    {script, "/a/script.py"}}) {
        const Resolved result = resolve(What::file, typed, "/opt/python", environment);
        BOOST_TEST(std::string(result.target.name) == directory.path + name);
        BOOST_TEST(result.plain == "");
        BOOST_TEST(result.target.directory.empty());
        struct stat status {};
        BOOST_REQUIRE(stat(typed.c_str(), &status) == 0);
        BOOST_TEST(
            (result.target.script == quicken::wire::Identity{status.st_dev, status.st_ino,
                                                             static_cast<std::uint64_t>(status.st_size),
                                                             status.st_mtim.tv_sec, status.st_mtim.tv_nsec}));
    }
    for (const char* typed : {"", "-", "absent", "a", "fifo", "/dev/null", "a/script.py/"}) {
        BOOST_TEST_CONTEXT(typed) BOOST_TEST(resolve(What::file, typed, nullptr, environment).plain != "");
    }
    const std::string deep = std::string(4090, '/') + "tmp";
    BOOST_TEST(resolve(What::file, deep + std::string(10, '/'), nullptr, environment).plain != "");

    const Resolved module = resolve(What::module, "json.tool", "/opt/python", environment);
    BOOST_TEST(std::string(module.target.name) == "json.tool");
    BOOST_TEST(std::string(module.target.directory) == directory.path);
    BOOST_TEST(module.plain == "");
    BOOST_TEST(resolve(What::module, std::string(4096, 'm'), "/opt/python", environment).plain != "");
    BOOST_TEST(resolve(What::module, std::string(4095, 'm'), "/opt/python", environment).plain == "");

    const Resolved entry = resolve(What::entry, "a:b", "/opt/python", environment);
    BOOST_TEST(entry.target.directory.empty());
    BOOST_TEST(resolve(What::entry, "a:b", "/opt/python", {"PYTHONINSPECT=1"}).plain != "");
    BOOST_TEST(resolve(What::entry, "a:b", "/opt/python", {"PYTHONINSPECT="}).plain == "");
}

// A server's commands share one secret of hashes: who asks for one of their own gets it from a plain run
// only.
BOOST_AUTO_TEST_CASE(hash_seed) {
    const auto plain = [](const std::string& setting) {
        return resolve(What::entry, "a:b", "/opt/python", {"A=1", setting, "B=2"}).plain;
    };
    BOOST_TEST(plain("PYTHONHASHSEED=random") == "PYTHONHASHSEED=random asks for hashes of this run's own");
    for (const char* setting : {"PYTHONHASHSEED=0", "PYTHONHASHSEED=7", "PYTHONHASHSEED=", "PYTHONHASHSEED",
                                "PYTHONHASHSEED=random2", "PYTHONHASHSEEDS=random", "PYTHON"}) {
        BOOST_TEST_CONTEXT(setting) BOOST_TEST(plain(setting) == "");
    }
}

// A directory that is gone has no path: neither a relative script nor a
// module can be named, and the plain run is still possible.
BOOST_AUTO_TEST_CASE(working_directory_without_path) {
    const Directory directory;
    fs::create_directory("gone");
    fs::current_path("gone");
    fs::remove(directory.path + "/gone");
    const Resolved result = resolve(What::module, "m", "bin/python3", {});
    BOOST_TEST(result.plain == "the working directory has no path");
    BOOST_TEST(std::string(result.target.interpreter) == "bin/python3");
    BOOST_TEST(resolve(What::entry, "a:b", "/opt/python", {}).plain == "");
}

// Options of the command line come after those of the #! line; the ones that no server has make a plain run.
BOOST_AUTO_TEST_CASE(options_of_the_command_line) {
    const Directory directory;
    const std::string script = directory.file("s", "#!/opt/python -u\n");
    const auto options = [](std::vector<std::string> words, const char* expected) {
        words.insert(words.begin(), {"quicken", "run"});
        Strings argv(std::move(words));
        Strings environment(std::vector<std::string>{"PATH=/usr/bin"});
        const auto storage = std::make_unique<quicken::Storage>();
        const quicken::Target target = quicken::resolve(quicken::parse(argv), environment, *storage);
        std::string text;
        for (const char c : target.options) text += c == '\0' ? '|' : c;
        BOOST_TEST(text == expected);
        return target.plain == nullptr;
    };
    BOOST_TEST(options({"--python-option=-X", "--python-option=dev", "--file", script}, "-u|-X|dev|"));
    BOOST_TEST(options({"--python", "/opt/own", "--python-option=-O", "--file", script}, "-O|"));
    BOOST_TEST(!options({"--python", "/opt/own", "--python-option=-i", "--file", script}, "-i|"));
    BOOST_TEST(!options({"--python-option=" + std::string(5000, 'O'), "--file", script}, ""));
}

// Everything that makes another server makes another instance, and nothing else.
BOOST_AUTO_TEST_CASE(instances) {
    const Directory directory;
    const std::vector<std::string> base{"PATH=/usr/bin", "LANG=C", "TZ=UTC", "PYTHONPATH=/x"};
    const Resolved module = resolve(What::module, "m", "/opt/python", base);
    const std::string id = instance(module.target, base);
    BOOST_TEST(id.size() == 32U);
    BOOST_TEST(id.find_first_not_of("0123456789abcdef") == std::string::npos);
    BOOST_TEST(id == instance(module.target, {"PYTHONPATH=/x", "TZ=UTC", "A=1", "LANG=C"}));
    BOOST_TEST(id == instance(module.target,
                              {"PYTHONPATH=/x", "TZ=UTC", "TZDIR=/", "LANGX=", "XPYTHON=", "LANG=C"}));

    std::set<std::string> all{id};
    std::size_t count = 1;
    for (const char* entry : {"PYTHONHASHSEED=0", "LD_PRELOAD=x", "LC_ALL=C", "LANGUAGE=de",
                              "GLIBC_TUNABLES=a", "MALLOC_ARENA_MAX=1", "PYTHON="}) {
        std::vector<std::string> more = base;
        more.emplace_back(entry);
        all.insert(instance(module.target, more));
        ++count;
    }
    const Resolved others[] = {
        resolve(What::module, "n", "/opt/python", base),
        resolve(What::module, "m", "/opt/python3", base),
        resolve(What::entry, "m:m", "/opt/python", base),
        resolve(What::file, directory.file("m", "#!/opt/python\n"), nullptr, base),
        resolve(What::file, directory.file("m", "#!/opt/python -u\n"), nullptr, base),
    };
    for (const Resolved& other : others) all.insert(instance(other.target, base));
    quicken::Target called = module.target;
    called.fork_point = quicken::wire::ForkPoint::start;
    all.insert(instance(called, base));
    ++count;
    fs::create_directory("sub");
    fs::current_path("sub");
    all.insert(instance(resolve(What::module, "m", "/opt/python", base).target, base));
    BOOST_TEST(all.size() == count + std::size(others) + 1);
}

BOOST_AUTO_TEST_CASE(socket_directories) {
    char text[128];
    Strings set{"XDG_RUNTIME_DIR=/run/x"};
    BOOST_TEST(quicken::socket_directory(set, text, sizeof text));
    BOOST_TEST(std::string(text) == "/run/x/quicken");
    BOOST_TEST(quicken::socket_directory(set, text, 15));
    BOOST_TEST(!quicken::socket_directory(set, text, 14));
    Strings relative{"XDG_RUNTIME_DIR=run"};
    BOOST_TEST(!quicken::socket_directory(relative, text, sizeof text));
    const std::string user = std::to_string(geteuid());
    const std::string run = "/run/user/" + user;
    struct stat status {};
    const bool ours =
        stat(run.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
    for (const char* entry : {"A=1", "XDG_RUNTIME_DIR="}) {
        Strings unset{entry};
        BOOST_TEST(quicken::socket_directory(unset, text, sizeof text));
        BOOST_TEST(std::string(text) == (ours ? run + "/quicken" : "/tmp/quicken-" + user));
    }
}

BOOST_AUTO_TEST_CASE(environment_values) {
    Strings environment{"AB=1", "A", "A=", "A=2", "C=x=y"};
    BOOST_TEST(std::string(quicken::get_environment(environment, "A")) == "");
    BOOST_TEST(std::string(quicken::get_environment(environment, "C")) == "x=y");
    BOOST_TEST(quicken::get_environment(environment, "B") == nullptr);
}

BOOST_AUTO_TEST_CASE(plain_command_lines) {
    const Directory directory;
    const std::string script = directory.file("s", "#!/usr/bin/env -S /opt/python3 -u -X dev\n");
    const auto words = [](const Resolved& result, const char* name, std::size_t size) {
        Strings arguments{"a", ""};
        char code[10000];
        char* out[16];
        std::vector<std::string> list;
        if (!quicken::plain_arguments(result.target, name, arguments, code, sizeof code, out, size))
            return list;
        for (char** word = out; *word != nullptr; ++word) list.emplace_back(*word);
        return list;
    };
    using List = std::vector<std::string>;
    const Resolved file = resolve(What::file, "s", nullptr, {});
    BOOST_TEST(words(file, "s", 16) == (List{"/opt/python3", "-u", "-X", "dev", "s", "a", ""}),
               boost::test_tools::per_element());
    BOOST_TEST(words(file, "s", 8).size() == 7U);
    BOOST_TEST(words(file, "s", 7).empty());
    BOOST_TEST(words(file, "s", 0).empty());
    const Resolved dashed = resolve(What::file, "-s", "/opt/p", {});
    BOOST_TEST(words(dashed, "-s", 16) == (List{"/opt/p", "--", "-s", "a", ""}),
               boost::test_tools::per_element());
    const Resolved module = resolve(What::module, "m", "/opt/p", {});
    BOOST_TEST(words(module, "m", 16) == (List{"/opt/p", "-m", "m", "a", ""}),
               boost::test_tools::per_element());
    const Resolved entry = resolve(What::entry, "m:f", "/opt/p", {});
    const List list = words(entry, "m:f", 16);
    BOOST_TEST_REQUIRE(list.size() == 5U);
    BOOST_TEST(list[1] == "-c");
    char code[1024];
    BOOST_TEST_REQUIRE(quicken::entry_code("m:f", code, sizeof code));
    BOOST_TEST(list[2] == code);
    const Resolved none = resolve(What::file, "s", "absent", {});
    BOOST_TEST(words(none, "s", 16).empty());
}
