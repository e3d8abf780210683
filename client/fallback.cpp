// An exec keeps the signal mask and every fd that is not close-on-exec: the
// mask is restored before each, and all fds of the client are close-on-exec.
#include "fallback.hpp"

#include <cerrno>
#include <cstddef>

#include "common/sys.hpp"
#include "common/text.hpp"
#include "message.hpp"

namespace quicken::client {

namespace {

constexpr std::size_t k_path = 4096;                                     // PATH_MAX
constexpr std::size_t k_code = 2 * std::size_t{wire::k_max_name} + 512;  // plain_arguments() asks for it

/// Executes a program at a path relative to the directory of this one, with
/// our own arguments after `name`. Returns on failure: a positive errno value.
int exec_sibling(const Process& process, std::string_view relative, const char* name) {
    char own_path[k_path];
    long length = sys::readlink("/proc/self/exe", own_path, sizeof own_path);
    if (length < 0) return static_cast<int>(-length);
    while (length > 0 && own_path[length - 1] != '/') --length;
    char path[k_path];
    TextBuffer text(path);
    text.append({own_path, static_cast<std::size_t>(length)}).append(relative);
    if (!text.finish()) return ENAMETOOLONG;
    char* own = process.argv[0];
    process.argv[0] = const_cast<char*>(name);
    const int error = -sys::execve(path, process.argv, process.environment);
    process.argv[0] = own;
    return error;
}

/// Room for so many pointers, or nullptr.
char** allocate_pointers(std::size_t count) {
    const long memory = sys::allocate(count * sizeof(char*));
    return memory < 0 ? nullptr : reinterpret_cast<char**>(memory);
}

/// What has become of the original of a launcher is told to who runs that.
[[noreturn]] void die_launching(const Run& run, int error) {
    const char* original = run.target.original;
    const bool is_there = sys::access(original, F_OK) == 0;
    die(exec_status(error),
        {original, error == ENOENT && is_there ? ": its interpreter: " : ": ", error_text(error),
         is_there ? "" : "; quickenctl unwrap ", is_there ? "" : run.invocation.launcher,
         is_there ? "" : " removes its launcher"});
}

}  // namespace

void run_plainly(Run& run, std::string_view reason) {
    const Target& target = run.target;
    if (target.interpreter.empty() && target.original == nullptr)
        die(exec_status(target.interpreter_error), {target.plain});
    if (target.changed)
        say({target.original, " is no Python script any more and is run as it is; quickenctl unwrap ",
             run.invocation.launcher, " removes its launcher"});
    if (run.verbose) say({"plain run: ", reason});

    // Each option has a NUL; and the interpreter, two words for the program, a nullptr.
    const std::size_t count = run.process.argc + target.options.size() + 4;
    char** arguments = allocate_pointers(count);
    if (arguments == nullptr) die(126, {target.interpreter, ": ", error_text(ENOMEM)});
    char code[k_code];
    if (!plain_arguments(target, run.invocation.name, run.invocation.arguments, code, sizeof code, arguments,
                         count)) {
        die(126, {target.interpreter, ": ", error_text(E2BIG)});
    }
    run.signals.restore();
    const int error = -sys::execve(arguments[0], arguments, run.process.environment);
    if (run.invocation.launcher != nullptr) die_launching(run, error);
    die(exec_status(error), {target.interpreter, ": ", error_text(error)});
}

void activate(Run& run) {
    if (run.activated) run_plainly(run, "the server that was started cannot be reached");
    run.signals.restore();
    char name[k_path];
    TextBuffer text(name);
    text.append(k_activate_name);
    if (run.invocation.link != nullptr) text.append(":").append(run.invocation.link);
    if (text.finish()) exec_sibling(run.process, "../libexec/quicken/quicken-activate", name);
    run_plainly(run, "quicken-activate cannot be executed");
}

void run_tool(const Process& process) {
    const int error = exec_sibling(process, "quickenctl", "quicken");
    die(exec_status(error), {"quickenctl: ", error_text(error)});
}

void run_serve(const Process& process) {
    const int error = exec_sibling(process, "../libexec/quicken/quicken-serve", "quicken");
    die(exec_status(error), {"quicken-serve: ", error_text(error)});
}

}  // namespace quicken::client
