// From a command line, as it has been read, to what is to be run, and by which
// interpreter. The client, the activator and quickenctl must agree to the bit,
// so they share this code.
//
// Freestanding: system calls come from sys.hpp, text lives in the caller's
// Storage, nothing is allocated and nothing throws.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/invocation.hpp"
#include "common/wire.hpp"

namespace quicken {

/// By this variable, the last of the environment, a Python program that runs the client in its own place
/// (src/python) knows itself again where it is then run plainly: its value is the pid. Neither a server nor a
/// command gets it.
inline constexpr std::string_view k_handed_over = "QUICKEN_HANDED_OVER";

/// What the client has in its first 1024 bytes, whatever the name of its file.
inline constexpr std::string_view k_client_sign = "quicken's client";

/// Room for the text that a Target refers to: it must outlive the Target. The texts lie one after the other:
/// each page that is touched costs a process that lives so shortly more than a system call.
struct Storage {
    static constexpr std::size_t k_reason = 512;
    std::size_t used = 0;
    // 1: the NUL of an attempt that failed.
    char texts[3 * std::size_t{wire::k_max_name} + wire::k_max_options + k_reason + 1];
};

/// What is to be run, and whether a server may run it.
struct Target {
    wire::What what;
    std::string_view name;         // absolute path with "." and empty components removed; module; entry; of a
                                   // shared interpreter what it imports first, with blanks between
    std::string_view directory;    // of a module: the working directory; otherwise empty
    std::string_view interpreter;  // absolute path, its links not followed; empty if none was found
    std::string_view options;  // interpreter options, those from the #! line first, or of the command line;
                               // each ends with a NUL
    wire::ForkPoint fork_point;
    wire::Identity script;  // of a file
    const char* plain;      // not nullptr: only a plain run is right, and this is why
    int interpreter_error;  // errno if the interpreter is empty, `plain` is then "NAME: cause"; else 0
    const char* original;   // of a launcher: what a plain run executes, and its argv[0]; otherwise nullptr
    bool own_name;          // executed so, the process would have its name: no env(1), no sh(1) is between
    bool changed;           // the original is no Python script any more
};

/// Finds the interpreter, first that applies: `python`, maybe with options (split_python()); a Python named
/// by the script's #! line (`env NAME` through PATH); $VIRTUAL_ENV/bin/python; python3 on PATH. Never opens
/// anything but a regular file. The original of a launcher has to be a Python script: anything else is only
/// executed, and another launcher not even that. The Python that a link
/// names is looked for along PATH; what is a link to quicken is not found there. The options of a shared
/// interpreter, and whether it is to run a program, are in its arguments. Texts of the Target are
/// NUL-terminated. `opened`: if the
/// script is opened its fd (close-on-exec, maybe one of 0, 1 and 2) is left there for the caller to close,
/// who can do so when nobody waits for it; -1 otherwise.
Target resolve(const Invocation& invocation, char** environment, Storage& storage, int* opened = nullptr);
Target resolve(wire::What what, const char* name, const char* python, char** environment, Storage& storage);

/// The directory of the sockets: $XDG_RUNTIME_DIR/quicken; where that is unset or
/// empty /run/user/UID/quicken if /run/user/UID is a directory of ours, else
/// /tmp/quicken-UID. False if it does not fit into `size` bytes or
/// XDG_RUNTIME_DIR is not an absolute path.
bool socket_directory(char** environment, char* text, std::size_t size);

/// Value of `name` in `environment`, or nullptr.
const char* get_environment(char** environment, std::string_view name);

/// The arguments of the plain run, of which the first is to be executed: interpreter, options, then the
/// script, or
/// `-m MODULE`, or `-c CODE` with code that does what an installed console
/// script does (entry), then `arguments`; of a launcher only original and arguments. Writes at most `size`
/// pointers, the last of them nullptr; returns false if they do not fit. `code` gets the code of an entry (at
/// least 2 * k_max_name + 512 bytes).
bool plain_arguments(const Target& target, const char* name, char** arguments, char* code,
                     std::size_t code_size, char** out, std::size_t size);

/// Source of the program that `-c` gets for an entry: sys.path has no entry
/// for the working directory, sys.argv[0] is the entry's text. False if it does
/// not fit or the entry is not of the form dotted.module:dotted.function.
bool entry_code(std::string_view entry, char* text, std::size_t size);

}  // namespace quicken
