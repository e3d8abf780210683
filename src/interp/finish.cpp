// The end of a command: what Py_RunMain does after the program's code, in its
// order, up to the point from which nothing can be seen from outside. The
// interpreter is not taken apart (6-61 ms with pandas loaded): release_main
// does what of that has effects.
//
// A process that the program forked itself may come here too, through the end
// of its main: it ends as in a plain run and reports to nobody.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client_state.hpp"
#include "common/wire.hpp"
#include "expected.hpp"
#include "pretouch.hpp"
#include "shared.hpp"
#include "template.hpp"

namespace quicken::interp {

namespace {

constexpr int k_status_flush_failed = 120;  // Py_RunMain: the streams could not be flushed
constexpr int k_client_limit = 1000;        // ms: its terminal may have been stopped
constexpr int k_linger = 4000;  // µs, so that the kernel's tear-down does not take the client's core

struct Ending {
    int status = 0;
    bool interrupted = false;  // by KeyboardInterrupt: dies by SIGINT
    bool exited = false;       // by SystemExit
};

/// handle_system_exit of CPython: the status of a SystemExit; a code that is not a number is printed.
int system_exit_status(PyObject* value) {
    Ref code = value != nullptr ? Ref(py.PyObject_GetAttrString(value, "code")) : Ref();
    if (!code) {
        py.PyErr_Clear();
        code = Ref::borrow(value);
    }
    if (!code || code.get() == py.none) return 0;
    if ((py.PyType_GetFlags(Py_TYPE(code.get())) & Py_TPFLAGS_LONG_SUBCLASS) != 0) {
        const long number = py.PyLong_AsLong(code.get());
        py.PyErr_Clear();
        return static_cast<int>(number);
    }
    PyObject* stream = py.PySys_GetObject("stderr");
    if (stream != nullptr && stream != py.none) {
        if (py.PyFile_WriteObject(code.get(), stream, 1 /* Py_PRINT_RAW */) != 0) py.PyErr_Clear();
        py.PyFile_WriteString("\n", stream);
    } else {
        const Ref text(py.PyObject_Str(code.get()));
        const Ref bytes(text ? py.PyUnicode_AsUTF8String(text.get()) : nullptr);
        if (bytes) fprintf(stderr, "%s\n", py.PyBytes_AsString(bytes.get()));
    }
    py.PyErr_Clear();
    return 1;
}

bool is_script() {
    return template_.what == wire::What::file || is_shared_script();
}

/// As CPython does after a script, unless SystemExit has ended it: functions for the end find them no more.
void forget_script() {
    PyObject* names = py.PyModule_GetDict(py.PyImport_AddModule("__main__"));
    for (const char* name : {"__file__", "__cached__"}) {
        const Ref key(py.PyUnicode_FromString(name));
        if (!key || py.PyDict_DelItem(names, key.get()) != 0) py.PyErr_Clear();
    }
}

/// flush_io of CPython, after a script, not after a module or the code of an entry, and before its exception
/// is told: what fails is told at the end, when the streams are flushed for good.
void flush_after_script() {
    if (!is_script()) return;
    PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
    py.PyErr_Fetch(&type, &value, &traceback);
    for (const char* name : {"stderr", "stdout"}) {
        const Ref stream = Ref::borrow(py.PySys_GetObject(name));
        const Ref flush(stream ? py.PyObject_GetAttrString(stream.get(), "flush") : nullptr);
        const Ref done(flush ? py.PyObject_CallObject(flush.get(), nullptr) : nullptr);
        if (!done) py.PyErr_Clear();
    }
    py.PyErr_Restore(type, value, traceback);
}

Ending handle_exception() {
    Ending ending;
    if (py.PyErr_Occurred() == nullptr) return ending;
    if (py.PyErr_ExceptionMatches(*py.PyExc_SystemExit) != 0) {
        PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
        py.PyErr_Fetch(&type, &value, &traceback);
        py.PyErr_NormalizeException(&type, &value, &traceback);
        const Ref owned_type(type), owned_value(value), owned_traceback(traceback);
        fflush(stdout);
        ending.exited = true;
        ending.status = system_exit_status(value);
        return ending;
    }
    ending.status = 1;
    ending.interrupted = py.PyErr_Occurred() == *py.PyExc_KeyboardInterrupt;  // not its subclasses: CPython
    py.PyErr_PrintEx(1);
    return ending;
}

/// Tells of an exception that nothing can handle, in the words of the interpreter's version.
void write_unraisable(PyObject* object, const char* words) {
    if (py.PyErr_FormatUnraisable != nullptr) return py.PyErr_FormatUnraisable(words);
    py.PyErr_WriteUnraisable(object);
}

/// threading._shutdown, if threading was imported: waits for the program's threads.
void wait_for_threads() {
    PyObject* modules = py.PyImport_GetModuleDict();
    PyObject* threading = py.PyDict_GetItemString(modules, "threading");
    if (threading == nullptr) return;
    const Ref shutdown(py.PyObject_GetAttrString(threading, "_shutdown"));
    const Ref done(shutdown ? py.PyObject_CallObject(shutdown.get(), nullptr) : nullptr);
    if (!done) write_unraisable(threading, "Exception ignored on threading shutdown");
}

void run_exit_functions() {
    PyObject* module = py.PyDict_GetItemString(py.PyImport_GetModuleDict(), "atexit");
    if (module == nullptr) return;  // nothing can have been registered
    const Ref run(py.PyObject_GetAttrString(module, "_run_exitfuncs"));
    const Ref done(run ? py.PyObject_CallObject(run.get(), nullptr) : nullptr);
    if (!done) py.PyErr_Clear();
}

/// flush_std_files of CPython, which tells of stdout alone. False if it could not be flushed.
bool flush_stream(const char* name, bool report) {
    PyObject* stream = py.PySys_GetObject(name);
    if (stream == nullptr || stream == py.none) return true;
    const Ref held = Ref::borrow(stream);
    const Ref closed(py.PyObject_GetAttrString(stream, "closed"));
    if (!closed) py.PyErr_Clear();
    if (closed && py.PyObject_IsTrue(closed.get()) == 1) return true;
    const Ref flush(py.PyObject_GetAttrString(stream, "flush"));
    const Ref done(flush ? py.PyObject_CallObject(flush.get(), nullptr) : nullptr);
    if (done) return true;
    if (report) {
        write_unraisable(stream, "Exception ignored on flushing sys.stdout");
    } else {
        py.PyErr_Clear();
    }
    return false;
}

/// A thread that waits for input holds its stream's lock: that of another is not waited for.
void flush_c_stream(FILE* stream) {
    if (ftrylockfile(stream) != 0) return;
    fflush_unlocked(stream);
    funlockfile(stream);
}

/// From here on Python code of ours runs: a debugger or profiler of the program is not to see it.
void stop_tracing() {
    for (const char* name : {"settrace", "setprofile"}) {
        PyObject* function = py.PySys_GetObject(name);
        const Ref done(function != nullptr ? py.PyObject_CallFunctionObjArgs(function, py.none, nullptr)
                                           : nullptr);
        if (!done) py.PyErr_Clear();
    }
}

/// With no Python frame below them, as finalizers and warnings of a plain run's end have none.
void release_main() {
    py.PyGC_Collect();
    const Ref released = call_bootstrap("begin_release");
    if (!released) return py.PyErr_Clear();
    PyObject* main = py.PyTuple_GetItem(released.get(), 0);
    PyObject* names = py.PyTuple_GetItem(released.get(), 1);
    for (Py_ssize_t i = 0; i < py.PyList_Size(names); ++i) {
        // A finalizer may have removed it.
        if (py.PyDict_DelItem(main, py.PyList_GetItem(names, i)) != 0) py.PyErr_Clear();
    }
    PyObject* attributes = py.PyTuple_GetItem(released.get(), 2);
    for (Py_ssize_t i = 0; i < py.PyList_Size(attributes); ++i) {
        PyObject* each = py.PyList_GetItem(attributes, i);
        if (py.PyObject_SetAttr(py.PyTuple_GetItem(each, 0), py.PyTuple_GetItem(each, 1), nullptr) != 0)
            py.PyErr_Clear();
    }
    py.PyGC_Collect();
    if (!call_bootstrap("end_release")) py.PyErr_Clear();
}

bool flush_streams() {
    const bool out = flush_stream("stdout", true);
    const bool error = flush_stream("stderr", false);
    return out && error;
}

[[noreturn]] void die_interrupted() {
    signal(SIGINT, SIG_DFL);
    kill(getpid(), SIGINT);
    _exit(128 + SIGINT);
}

[[noreturn]] void finish_forked_child(const Ending& ending) {
    int status = ending.status;
    if (py.Py_FinalizeEx() < 0) status = k_status_flush_failed;
    py.Py_DecRef = [](PyObject*) {};  // exit(3) destroys static references, to what is gone
    if (ending.interrupted) die_interrupted();
    exit(status);
}

/// The client has this signal blocked: it is in its queue whatever it does at the moment. That its pid has
/// become another process's would take all other pids to be handed out since its end, which the supervisor
/// sees at once, or within k_handoff_delay of our start, and kills us. Without a supervisor nobody does: then
/// only a process that blocks the signal gets it, which no other than a client is known to do and none is
/// killed by.
/// Where the queue is full (RLIMIT_SIGPENDING) the supervisor reports, from our exit status.
bool report(int wait_status) {
    if (getppid() != command_.supervisor && !blocks_signal(command_.client, wire::k_report_signal))
        return false;
    sigval value{};
    value.sival_int = wait_status;
    return sigqueue(command_.client, wire::k_report_signal, value) == 0;
}

/// The client has been told: whatever happens here is seen by nobody.
void record_late_imports() {
    if (template_.learn[0] == '\0') return;
    const Ref path(py.PyUnicode_DecodeFSDefault(template_.learn));
    if (!path || !call_bootstrap("record_late", path.get())) py.PyErr_Clear();
}

}  // namespace

void finish(PyObject* result) {
    const Ref owned(result);
    flush_after_script();
    Ending ending = handle_exception();
    if (is_script() && !ending.exited) forget_script();
    if (getpid() != command_.pid) finish_forked_child(ending);
    wait_for_threads();
    run_exit_functions();
    bool flushed = flush_streams();
    stop_tracing();
    release_main();
    if (flushed) flushed = flush_streams();
    if (!flushed) ending.status = k_status_flush_failed;
    flush_c_stream(stdout);
    flush_c_stream(stderr);

    // Locks, ports and pipes are free before the client ends, though the process is not quite gone.
    close_range(0, ~0U, 0);
    const int wait_status = ending.interrupted ? SIGINT : (ending.status & 0xff) << 8;
    auto& state = template_.board->slots[command_.slot].state;
    if (!command_.told) state.store(control::SlotState::reporting);
    if (command_.told || report(wait_status)) {
        // What is left is ours: the terminal's hangup, which the client's end may be, is not to end it.
        signal(SIGHUP, SIG_IGN);  // of threads of the program too
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, nullptr);
        state.store(control::SlotState::reported);
        note_client(*command_.received);
        usleep(k_linger);
        learn_touched();
        record_late_imports();
        _exit(0);
    }
    if (ending.interrupted) die_interrupted();
    _exit(ending.status & 0xff);
}

// The state is changed before the report: the supervisor must not take the client's end for one that its
// command is to share. Where the client cannot be told, it is, as ever, by the supervisor at the end.
void end_for_client(int status) {
    if (command_.told) return;
    const int client = static_cast<int>(syscall(SYS_pidfd_open, command_.client, 0));
    if (client < 0) return;
    flush_c_stream(stdout);
    flush_c_stream(stderr);
    auto& state = template_.board->slots[command_.slot].state;
    state.store(control::SlotState::reported);
    command_.told = report(status << 8);
    pollfd ended{client, POLLIN, 0};
    if (!command_.told) {
        state.store(control::SlotState::taken);
        // Killed meanwhile: the supervisor has seen it, and taken it for the end of one that was told.
        if (poll(&ended, 1, 0) > 0) kill(getpid(), SIGKILL);
    }
    PyThreadState* thread = py.PyEval_SaveThread();
    while (command_.told && poll(&ended, 1, k_client_limit) < 0 && errno == EINTR) continue;
    close(client);
    py.PyEval_RestoreThread(thread);
}

}  // namespace quicken::interp
