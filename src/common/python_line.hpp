// A command line of `python3`, without its argv[0], as the interpreter itself
// reads it (Python/getopt.c). The client, which has to know the interpreter's
// options, and the spare, which has to know the program, agree by sharing this.
//
// Freestanding: does no system call, allocates nothing.
#pragma once

#include "common/text.hpp"

namespace quicken {

struct PythonLine {
    enum class Kind {
        file,    // `value` is the path of a script, a directory or an archive
        module,  // -m
        code,    // -c
        none     // there is no program that a server could run: `plain` says why
    };
    Kind kind = Kind::none;
    const char* value = nullptr;
    char** rest = nullptr;  // the program's own arguments, up to a nullptr
    const char* plain = nullptr;
};

/// Reads `words`, which end with a nullptr. Options that a server can have are appended to `options`, unless
/// that is a nullptr: each word ends with a NUL. Others make `plain`.
PythonLine read_python_line(char** words, TextBuffer* options);

}  // namespace quicken
