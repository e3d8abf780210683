// The command line of `quicken`, as typed.
//
// Freestanding, as target.hpp is.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/wire.hpp"

namespace quicken {

/// What one more option of the interpreter comes behind.
inline constexpr std::string_view k_python_option = "--python-option=";

/// A command line of `quicken`, as typed.
struct Invocation {
    enum class Form {
        run,    // run a program
        tool,   // status, stop, run --learn, --help, --version, nothing at all: quickenctl's
        serve,  // quicken-serve's
        usage,  // not a valid command line; `error` says why
    };
    Form form;
    wire::What what;
    const char* name;    // script, module or entry, as typed; of a shared interpreter --preload, or nullptr
    const char* python;  // --python, or nullptr
    char** arguments;    // the program's own arguments after its argv[0]; ends with nullptr
    const char* error;
    // Its path, if one is run (launcher.hpp); without a name it has to be read.
    const char* launcher = nullptr;
    wire::ForkPoint fork_point = wire::ForkPoint::automatic;  // --fork-point
    char** options = nullptr;      // the first of the words --python-option=OPTION, which follow one another
    std::size_t option_count = 0;  // of them
    const char* link = nullptr;    // of a shared interpreter: the Python by whose name we were called
};

/// argv[0] of the activator, and of the client that it becomes; a Link's name follows behind a ':'.
inline constexpr const char* k_activate_name = "quicken-activate";
inline constexpr const char* k_activated_name = "quicken-activated";

// clang-format off
/// Reads `argv` (of main, ends with nullptr). Does no system call.
///   quicken run [--learn] [--python INTERPRETER] [--python-option=OPTION]... [--fork-point start]
///               --file SCRIPT | -m MODULE | --entry MODULE:FUNCTION [--] [ARG...]
///   quicken run [as above] SCRIPT [ARG...]
///   quicken SCRIPT [ARG...]
///   quicken "/PATH/TO/PYTHON [OPTION...]" SCRIPT [ARG...]
///   quicken --launch[=ORIGINAL] LAUNCHER [ARG...]
///   quicken serve WORD...
///   quicken python [--preload NAME,...] [--python INTERPRETER] WORD..., or by a link: python3 WORD...
/// One `--` directly after the program is dropped in the first form; in the others, which are
/// also what #! lines make, everything is the script's.
// clang-format on
Invocation parse(char** argv);

}  // namespace quicken
