// What a command line of python3 and a list of modules mean.
#define BOOST_TEST_MODULE python_line
#include <boost/test/included/unit_test.hpp>
#include <string>
#include <vector>

#include "common/preload_list.hpp"
#include "common/python_line.hpp"

using Kind = quicken::PythonLine::Kind;

namespace {

struct Row {
    std::vector<std::string> words;
    Kind kind;
    std::string value;
    std::vector<std::string> rest;
    std::string options;  // '|' for each NUL
};

/// The words as main has them, which must outlive what refers to them.
struct Strings {
    explicit Strings(const std::vector<std::string>& words) : texts(words) {
        for (std::string& text : texts) pointers.push_back(text.data());
        pointers.push_back(nullptr);
    }
    std::vector<std::string> texts;
    std::vector<char*> pointers;
};

std::string preloads(std::string_view text, char separator) {
    char buffer[64];
    quicken::TextBuffer names(buffer);
    const char* reason = quicken::append_preloads(text, separator, names);
    return reason != nullptr ? std::string("error") : std::string(names.view());
}

}  // namespace

BOOST_AUTO_TEST_CASE(lines) {
    const Row rows[] = {
        {{"x.py"}, Kind::file, "x.py", {}, ""},
        {{"x.py", "-c", "--"}, Kind::file, "x.py", {"-c", "--"}, ""},
        {{"--", "-x.py", "a"}, Kind::file, "-x.py", {"a"}, ""},
        {{"-u", "-OO", "x.py"}, Kind::file, "x.py", {}, "-u|-OO|"},
        {{"-m", "m", "-m"}, Kind::module, "m", {"-m"}, ""},
        {{"-mm"}, Kind::module, "m", {}, ""},
        {{"-Im", "m"}, Kind::module, "m", {}, "-I|"},
        {{"-c", "", "a"}, Kind::code, "", {"a"}, ""},
        {{"-cx=1", "a"}, Kind::code, "x=1", {"a"}, ""},
        {{"-OuBcx"}, Kind::code, "x", {}, "-OuB|"},
        {{"-W", "error", "-Wdefault", "x"}, Kind::file, "x", {}, "-W|error|-W|default|"},
        {{"-W", "-x", "y"}, Kind::file, "y", {}, "-W|-x|"},
        {{"-IXutf8=0", "x"}, Kind::file, "x", {}, "-I|-X|utf8=0|"},
        {{"-uX", "utf8", "-s", "x"}, Kind::file, "x", {}, "-u|-X|utf8|-s|"},
        {{""}, Kind::file, "", {}, ""},
    };
    for (const Row& row : rows) {
        Strings strings(row.words);
        char buffer[256];
        quicken::TextBuffer options(buffer);
        const quicken::PythonLine line = quicken::read_python_line(strings.pointers.data(), &options);
        BOOST_TEST_CONTEXT("the first is " << row.words.front()) {
            BOOST_TEST((line.kind == row.kind));
            BOOST_REQUIRE(line.plain == nullptr);
            BOOST_TEST(line.value == row.value);
            std::vector<std::string> rest;
            for (char** word = line.rest; *word != nullptr; ++word) rest.emplace_back(*word);
            BOOST_TEST(rest == row.rest, boost::test_tools::per_element());
            std::string kept(options.view());
            for (char& c : kept) c = c == '\0' ? '|' : c;
            BOOST_TEST(kept == row.options);
            BOOST_TEST((quicken::read_python_line(strings.pointers.data(), nullptr).rest == line.rest));
        }
    }
}

BOOST_AUTO_TEST_CASE(lines_that_no_server_runs) {
    const std::vector<std::vector<std::string>> rows = {
        {},
        {"-"},
        {"-", "x"},
        {"-i", "x"},
        {"-V"},
        {"-uV"},
        {"-h"},
        {"--help"},
        {"--version"},
        {"-Z"},
        {"-c"},
        {"-m"},
        {"-Ic"},
        {"-W"},
        {"-X"},
        {"-X", "importtime", "x"},
        {"-Xdev", "x"},
        {"-X", "utf8x", "x"},
        {"-x", "x"},
        {"-v", "x"},
        {"-S", "x"},
        {"-b", "x"},
        {"-d", "x"},
        {"-?"},
        {"-u"},
        {"--"},
        {"--nosuch", "x"},
        {"-u", "--", "-"},
    };
    for (const auto& row : rows) {
        Strings strings(row);
        const quicken::PythonLine line = quicken::read_python_line(strings.pointers.data(), nullptr);
        BOOST_TEST_CONTEXT(row.size() << " words, " << (row.empty() ? "" : row.front())) {
            BOOST_TEST(line.plain != nullptr);
            BOOST_TEST((line.kind == Kind::none));
        }
    }
}

BOOST_AUTO_TEST_CASE(lists) {
    BOOST_TEST(preloads("", ',') == "");
    BOOST_TEST(preloads("a,b.c,a,,d", ',') == "a b.c d");
    BOOST_TEST(preloads(" a , b ", ',') == "a b");
    BOOST_TEST(preloads("# x\na # b\r\n\n\tb\n#", '\n') == "a b");
    BOOST_TEST(preloads("ab,a", ',') == "ab a");
    for (const char* bad : {"a b", "a.", ".a", "1", "a/b", "a-b", "a;b"})
        BOOST_TEST(preloads(bad, ',') == "error");
    BOOST_TEST(preloads(std::string(63, 'a'), ',') == std::string(63, 'a'));
    BOOST_TEST(preloads(std::string(64, 'a'), ',') == "error");
}
