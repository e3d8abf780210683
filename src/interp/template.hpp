// The template: one interpreter process that has run the prelude and only
// forks spares. Everything that it owns is listed here; what a fork inherits
// of it is what a spare and a command start from.
//
// Single-threaded, signals at their defaults. The supervisor's end of
// `control` closing is the order to end.
#pragma once

#include <sys/types.h>

#include "common/control.hpp"
#include "common/wire.hpp"
#include "orphan.hpp"
#include "python_api.hpp"
#include "request.hpp"

namespace quicken::interp {

struct Template {
    int control = -1;
    int handoff = -1;
    int listener = -1;
    int session_program = -1;  // quicken-session
    int requests = -1;         // clients that were accepted elsewhere
    int alarm = -1;            // timerfd(2) at whose end the supervisor reads `handoff`
    int changes = -1;          // inotify(7), shared with the supervisor: readable if something has changed
    control::Board* board = nullptr;
    control::Rung rung = control::Rung::prelude;
    wire::What what = wire::What::file;
    const char* what_text = "";
    const char* name = "";
    const char* code = "";           // of an entry
    const char* modules = "";        // to import in advance, separated by blanks
    bool called = false;             // the client says that the fork point is a call (wire.hpp)
    const char* learn = "";          // file in which commands note what they import late, if learning is on
    unsigned terminal = 0;           // bit N: fd N (0, 1, 2) of the clients is a terminal
    unsigned rows = 0, columns = 0;  // of its window
    wire::Instance instance{};
    wire::Identity script{};  // of a file: as it was when it was read
    mode_t umask = 0;
    char directory[4096] = {};  // as it was before the prelude
    char* arguments = nullptr;  // of a plain run up to the program's own: strings end to end
    std::size_t arguments_size = 0;
    Session session;       // of a spare
    bool waiting = false;  // the fork point has been reached
    long started = 0;      // of the template, ns, by the clock that files' times are taken from
    long started_monotonic = 0;
    Ref bootstrap;  // namespace of bootstrap.py
    Ref hooks;      // list: what the prelude has given quicken.after_fork
};

extern Template template_;

/// What a command is given and what it must do at its end.
struct Command {
    pid_t pid = 0;
    pid_t client = 0;
    pid_t supervisor = 0;
    std::uint32_t slot = 0;
    const Received* received = nullptr;  // for as long as the process lives
    bool told = false;                   // the client has been told the end
};

extern Command command_;

/// main() of the interpreter's process instead of its own.
int template_main(int argc, char** argv, char** environment);

/// The fork point. In the template it never returns; in a command it returns once everything is the client's.
void fork_point();

/// fork_point(), and what is done first in a command: the prelude's output, after_fork. False with an
/// exception set.
bool reach_fork_point();

/// In a spare: waits for a client that it fits and becomes its command. Never returns in vain: a spare
/// that cannot go on ends. `passed`: it waits for one that somebody else has accepted.
void serve_one(std::uint32_t slot, bool passed);

/// Ends a command, or a process that the program forked itself, after its code has run.
/// `result` is what the evaluation returned, nullptr with an exception set.
[[noreturn]] void finish(PyObject* result);

/// Tells the client of a command that it has ended with this status, and returns once the client has ended,
/// or after a second: what the program prints from now on comes after it. Releases the GIL meanwhile.
void end_for_client(int status);

/// Tells the supervisor that this program cannot be served from this rung, and ends the template. With
/// unfit_modules: not with the modules that it was to import in advance.
[[noreturn]] void give_up(const char* reason, control::MessageKind kind = control::MessageKind::unfit);

/// Ends the template with the exception that is set as the reason.
[[noreturn]] void give_up_with_exception(const char* where);

/// Calls a function of bootstrap.py; nullptr with an exception set if it raised.
Ref call_bootstrap(const char* function, PyObject* first = nullptr, PyObject* second = nullptr,
                   PyObject* third = nullptr, PyObject* fourth = nullptr);

/// What the call returned as text if it is a str, "" if it is None. An exception that is set becomes the
/// text. Truncated to `size`.
void text_of(const Ref& result, char* text, std::size_t size);

}  // namespace quicken::interp
