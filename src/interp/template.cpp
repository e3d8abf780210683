#include "template.hpp"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bootstrap.hpp"
#include "calls.hpp"
#include "clock.hpp"
#include "common/key.hpp"
#include "draws.hpp"
#include "environment.hpp"
#include "files.hpp"
#include "list_type.hpp"
#include "output.hpp"
#include "packet.hpp"
#include "process_state.hpp"
#include "questions.hpp"
#include "spoken.hpp"
#include "shared.hpp"
#include "trace.hpp"

namespace quicken::interp {

Template template_;
Command command_;

namespace {

constexpr int k_max_arguments = 65536;

/// Arguments of the template, as the supervisor lays them out (control.hpp): interpreter, options, guard
/// option, guard code, what, name, instance, code, modules, learn, fork point,
/// then the first client's sys.argv.
struct Launch {
    int options_end;  // index of the guard option
    char** rest;
    int rest_count;
};

/// The numbers of control.hpp; the variable and our entry of LD_PRELOAD are gone afterwards.
bool read_environment() {
    const char* text = getenv(control::k_environment);
    int board = -1;
    int library = -1;
    unsigned rung = 0;
    if (text == nullptr || sscanf(text, "%d,%d,%d,%d,%d,%d,%u,%d,%d,%d,%u,%u,%u", &template_.control,
                                  &template_.handoff, &template_.listener, &board, &template_.session_program,
                                  &library, &rung, &template_.changes, &template_.requests, &template_.alarm,
                                  &template_.terminal, &template_.rows, &template_.columns) != 13) {
        return false;
    }
    if (library >= 0) close(library);
    // Inherited over the exec that brought us here; not over those of the program.
    for (int fd : {template_.control, template_.handoff, template_.listener, template_.session_program,
                   template_.changes, template_.requests, template_.alarm}) {
        if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    template_.rung = static_cast<control::Rung>(rung);
    unsetenv(control::k_environment);
    const char* preload = getenv("LD_PRELOAD");
    const char* others = preload != nullptr ? strchr(preload, ':') : nullptr;
    if (others == nullptr) {
        unsetenv("LD_PRELOAD");
    } else {
        setenv("LD_PRELOAD", others + 1, 1);
    }
    void* memory = mmap(nullptr, sizeof(control::Board), PROT_READ | PROT_WRITE, MAP_SHARED, board, 0);
    close(board);
    if (memory == MAP_FAILED) return false;
    template_.board = static_cast<control::Board*>(memory);
    return true;
}

void note_start() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    template_.started = now.tv_sec * 1'000'000'000 + now.tv_nsec;
    clock_gettime(CLOCK_MONOTONIC, &now);
    template_.started_monotonic = now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

bool read_instance(const char* text) {
    for (std::size_t i = 0; i < sizeof template_.instance.bytes; ++i) {
        unsigned byte = 0;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) return false;
        template_.instance.bytes[i] = static_cast<std::uint8_t>(byte);
    }
    return true;
}

bool read_arguments(int argc, char** argv, Launch& launch) {
    int i = 1;
    while (i < argc && strcmp(argv[i], control::k_guard_option) != 0) ++i;
    if (i + 9 >= argc) return false;
    launch.options_end = i;
    template_.what_text = argv[i + 2];
    template_.name = argv[i + 3];
    template_.code = argv[i + 5];
    template_.modules = argv[i + 6];
    template_.learn = argv[i + 7];
    template_.called = *argv[i + 8] != '\0';
    launch.rest = argv + i + 9;
    launch.rest_count = argc - (i + 9);
    template_.what = strcmp(template_.what_text, "file") == 0     ? wire::What::file
                     : strcmp(template_.what_text, "module") == 0 ? wire::What::module
                     : strcmp(template_.what_text, "python") == 0 ? wire::What::python
                                                                  : wire::What::entry;
    return read_instance(argv[i + 4]);
}

/// The strings of a plain run's command line before those of the client, for set_process_image.
bool keep_arguments(char** plain, int count) {
    std::size_t size = 0;
    for (int i = 0; i < count; ++i) size += strlen(plain[i]) + 1;
    template_.arguments = static_cast<char*>(malloc(size));
    if (template_.arguments == nullptr) return false;
    for (int i = 0; i < count; ++i) {
        const std::size_t length = strlen(plain[i]) + 1;
        memcpy(template_.arguments + template_.arguments_size, plain[i], length);
        template_.arguments_size += length;
    }
    return true;
}

/// The arguments that a plain run would have had, for the interpreter's own parser. Ours to keep: the
/// interpreter holds on to them.
char** plain_arguments(char** argv, const Launch& launch, int& count) {
    auto** plain = static_cast<char**>(calloc(static_cast<std::size_t>(k_max_arguments), sizeof(char*)));
    if (plain == nullptr || launch.options_end + launch.rest_count + 4 > k_max_arguments) return nullptr;
    static char module_option[] = "-m";
    static char code_option[] = "-c";
    count = 0;
    for (int i = 0; i < launch.options_end; ++i) plain[count++] = argv[i];
    if (template_.what == wire::What::module) {
        plain[count++] = module_option;
        plain[count++] = const_cast<char*>(template_.name);
    }
    if (template_.what == wire::What::entry) {
        plain[count++] = code_option;
        plain[count++] = const_cast<char*>(template_.code);
    }
    // A client of a shared interpreter brings the options too.
    if (!keep_arguments(plain, template_.what == wire::What::python ? 1 : count)) return nullptr;
    const bool is_first = template_.what == wire::What::file || template_.what == wire::What::python;
    const int skipped = is_first ? 0 : 1;  // sys.argv[0] is not on the command line
    for (int i = skipped; i < launch.rest_count; ++i) plain[count++] = launch.rest[i];
    return plain;
}

void initialize_python(int count, char** plain) {
    static PyConfigStorage config;
    py.PyConfig_InitPythonConfig(&config);
    PyStatus status = py.PyConfig_SetBytesArgv(&config, count, plain);
    if (status.type == PyStatus::ok) status = py.Py_InitializeFromConfig(&config);
    if (status.type != PyStatus::ok) {
        give_up(status.message != nullptr ? status.message : "the interpreter did not start");
    }
    py.PyConfig_Clear(&config);
}

/// Calls what the prelude has given quicken.after_fork, `hooks`, from here so that the program's frames are
/// the only ones of a traceback. False with an exception set if one of them raised.
bool call_hooks(PyObject* hooks) {
    for (Py_ssize_t i = 0; i < py.PyList_Size(hooks); ++i) {
        const Ref hook = Ref::borrow(py.PyList_GetItem(hooks, i));
        const Ref result(py.PyObject_CallObject(hook.get(), nullptr));
        if (!result) return false;
    }
    return py.PyList_SetSlice(hooks, 0, py.PyList_Size(hooks), nullptr) == 0;
}

PyObject* fork_point_function(PyObject*, PyObject*) {
    if (!reach_fork_point()) return nullptr;
    py.Py_IncRef(py.none);
    return py.none;
}

PyMethodDef fork_point_method = {"fork_point", fork_point_function, METH_NOARGS, nullptr};

PyObject* exchange_questions_function(PyObject*, PyObject* known) {
    return py.PyLong_FromLong(exchange_questions(static_cast<unsigned>(py.PyLong_AsLong(known))));
}

PyObject* stop_function(PyObject*, PyObject* reason) {
    char text[control::k_text];
    text_of(Ref::borrow(reason), text, sizeof text);
    give_up(text);
}

PyMethodDef stop_method = {"stop", stop_function, METH_O, nullptr};

PyMethodDef exchange_questions_method = {"exchange_questions", exchange_questions_function, METH_O, nullptr};

/// Text of the exception that is set, and clears it.
void describe_exception(char* text, std::size_t size) {
    PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
    py.PyErr_Fetch(&type, &value, &traceback);
    py.PyErr_NormalizeException(&type, &value, &traceback);
    const Ref owned_type(type), owned_value(value), owned_traceback(traceback);
    const Ref message(value != nullptr ? py.PyObject_Str(value) : nullptr);
    const Ref bytes(message ? py.PyUnicode_AsUTF8String(message.get()) : nullptr);
    const Ref name(type != nullptr ? py.PyObject_GetAttrString(type, "__name__") : nullptr);
    const Ref name_bytes(name ? py.PyUnicode_AsUTF8String(name.get()) : nullptr);
    py.PyErr_Clear();
    snprintf(text, size, "%s: %s", name_bytes ? py.PyBytes_AsString(name_bytes.get()) : "exception",
             bytes ? py.PyBytes_AsString(bytes.get()) : "");
}

void load_bootstrap() {
    template_.bootstrap = Ref(py.PyDict_New());
    PyObject* names = template_.bootstrap.get();
    py.PyDict_SetItemString(names, "__builtins__", py.PyEval_GetBuiltins());
    const Ref name(py.PyUnicode_FromString("quicken"));
    py.PyDict_SetItemString(names, "__name__", name.get());
    const Ref settled(py.PyUnicode_FromString(k_settled_variables));
    const Ref passing(py.PyUnicode_FromString(k_passing_variables));
    const Ref started(py.PyLong_FromLong(template_.started));
    py.PyDict_SetItemString(names, "SETTLED_VARIABLES", settled.get());
    py.PyDict_SetItemString(names, "PASSING_VARIABLES", passing.get());
    py.PyDict_SetItemString(names, "STARTED", started.get());
    const Ref started_monotonic(py.PyLong_FromLong(template_.started_monotonic));
    py.PyDict_SetItemString(names, "STARTED_MONOTONIC", started_monotonic.get());
    for (PyMethodDef* method : {&stop_method, &exchange_questions_method, &watch_call_method,
                                &unwatch_calls_method, &set_type_method}) {
        const Ref function(py.PyCFunction_NewEx(method, nullptr, nullptr));
        py.PyDict_SetItemString(names, method->ml_name, function.get());
    }
    if (!add_file_functions(names) || !add_draw_function(names))
        give_up_with_exception("quicken's own start");
    describe_streams();
    const Ref code = bootstrap_code();
    const Ref done(code ? py.PyEval_EvalCode(code.get(), names, names) : nullptr);
    if (!done) give_up_with_exception("quicken's own start");
    note_variables(true);
    watch_clocks();
}

/// A directory or archive with a __main__ module is run by the interpreter through runpy.
void refuse_importable_script() {
    if (template_.what != wire::What::file) return;
    const Ref path(py.PyUnicode_DecodeFSDefault(template_.name));
    const Ref importer(path ? py.PyImport_GetImporter(path.get()) : nullptr);
    if (!importer) give_up_with_exception("the script's path");
    if (importer.get() != py.none) give_up("the script is a directory or an archive");
}

Ref prepare() {
    const Ref what(py.PyUnicode_FromString(template_.what_text));
    const Ref name(py.PyUnicode_DecodeFSDefault(template_.name));
    const Ref code(py.PyUnicode_DecodeFSDefault(template_.code));
    const Ref prelude(py.PyLong_FromLong(template_.rung == control::Rung::prelude ? 1 : 0));
    template_.hooks = Ref(py.PyList_New(0));
    const Ref fork(py.PyCFunction_NewEx(&fork_point_method, template_.hooks.get(), nullptr));
    const Ref called(py.PyLong_FromLong(template_.called ? 1 : 0));
    PyObject* function = py.PyDict_GetItemString(template_.bootstrap.get(), "prepare");
    Ref program(py.PyObject_CallFunctionObjArgs(function, what.get(), name.get(), code.get(), prelude.get(),
                                                fork.get(), called.get(), nullptr));
    if (!program) give_up_with_exception("before the program");
    return program;
}

Ref attribute(const Ref& object, const char* name) {
    return Ref(py.PyObject_GetAttrString(object.get(), name));
}

void remember_identity(const Ref& program) {
    const Ref identity = attribute(program, "identity");
    if (!identity || identity.get() == py.none) return;
    long values[5] = {};
    for (Py_ssize_t i = 0; i < 5; ++i) values[i] = py.PyLong_AsLong(py.PyTuple_GetItem(identity.get(), i));
    template_.script = {static_cast<std::uint64_t>(values[0]), static_cast<std::uint64_t>(values[1]),
                        static_cast<std::uint64_t>(values[2]), values[3], values[4]};
}

/// Called with no Python frame on the stack, so that the program's own frame is the outermost one.
PyObject* evaluate(const Ref& program) {
    if (template_.what == wire::What::python) return run_shared();
    if (template_.what == wire::What::module) {
        const Ref runpy(py.PyImport_ImportModule("runpy"));
        const Ref function(runpy ? py.PyObject_GetAttrString(runpy.get(), "_run_module_as_main") : nullptr);
        const Ref name(py.PyUnicode_DecodeFSDefault(template_.name));
        const Ref alter(py.PyLong_FromLong(1));
        if (!function) return nullptr;
        return py.PyObject_CallFunctionObjArgs(function.get(), name.get(), alter.get(), nullptr);
    }
    Ref code = attribute(program, "code");
    if (code.get() == py.none) {
        const Ref source = attribute(program, "source");
        const Ref filename = attribute(program, "filename");
        const Ref mode(py.PyUnicode_FromString("exec"));
        const Ref flags(py.PyLong_FromLong(0));
        const Ref inherit_nothing(py.PyLong_FromLong(1));
        PyObject* compile = py.PyDict_GetItemString(py.PyEval_GetBuiltins(), "compile");
        code = Ref(py.PyObject_CallFunctionObjArgs(compile, source.get(), filename.get(), mode.get(),
                                                   flags.get(), inherit_nothing.get(), nullptr));
        if (!code) return nullptr;
    }
    PyObject* names = py.PyModule_GetDict(py.PyImport_AddModule("__main__"));
    return py.PyEval_EvalCode(code.get(), names, names);
}

/// Nothing that depends on the client has been done before `site` is imported.
bool is_import_of_site(PyObject* arguments) {
    const Ref text(py.PyUnicode_AsUTF8String(py.PyTuple_GetItem(arguments, 0)));
    if (!text) py.PyErr_Clear();
    return text && strcmp(py.PyBytes_AsString(text.get()), "site") == 0;
}

/// An import is told of when it is asked for, and once more if it is to load a library.
bool is_wanted_import(PyObject* arguments) {
    if (!template_.bootstrap && is_import_of_site(arguments)) load_bootstrap();
    return py.PyTuple_GetItem(arguments, 1) != py.none;
}

/// Tells bootstrap.py of the prelude's events. A hook cannot be taken back; a command's events end here.
int note_event(const char* event, PyObject* arguments, void*) {
    __attribute__((tls_model("initial-exec"))) static thread_local bool inside = false;
    if (*event == 'q' && is_spoken(event)) return hear(event, arguments);
    if (template_.waiting || inside) return 0;
    bool wanted = false;
    for (const char* name : {"open", "fcntl.ioctl", "subprocess.Popen", "sys.addaudithook", "builtins.input",
                             "ctypes.dlopen", "sqlite3.connect", "syslog.syslog"}) {
        if (strcmp(event, name) == 0) wanted = true;
    }
    if (strcmp(event, "import") == 0) {
        inside = true;
        wanted = is_wanted_import(arguments);
        inside = false;
    }
    for (const char* module : {"os.", "socket.", "tempfile."}) {
        if (strncmp(event, module, strlen(module)) == 0) wanted = true;
    }
    if (!wanted || !template_.bootstrap) return 0;
    inside = true;
    const QuietFiles quiet;
    const Ref name(py.PyUnicode_FromString(event));
    if (!call_bootstrap("note_event", name.get(), arguments)) {
        py.PyErr_Clear();
        // A record is lost: what the program has read, or done, is not known.
        if (!call_bootstrap("note_untraced", name.get())) give_up_with_exception("an event of the prelude");
    }
    inside = false;
    return 0;
}

bool is_true(const Ref& program, const char* name) {
    const Ref value = attribute(program, name);
    return value && py.PyObject_IsTrue(value.get()) == 1;
}

}  // namespace

bool reach_fork_point() {
    fork_point();
    return replay_output() && call_hooks(template_.hooks.get());
}

Ref call_bootstrap(const char* function, PyObject* first, PyObject* second, PyObject* third,
                   PyObject* fourth) {
    PyObject* callable = py.PyDict_GetItemString(template_.bootstrap.get(), function);
    return Ref(py.PyObject_CallFunctionObjArgs(callable, first, second, third, fourth, nullptr));
}

void text_of(const Ref& result, char* text, std::size_t size) {
    text[0] = '\0';
    if (!result) return describe_exception(text, size);
    if (result.get() == py.none) return;
    const Ref bytes(py.PyUnicode_AsUTF8String(result.get()));
    snprintf(text, size, "%s", bytes ? py.PyBytes_AsString(bytes.get()) : "?");
    py.PyErr_Clear();
}

void give_up_with_exception(const char* where) {
    char exception[control::k_text / 2];
    describe_exception(exception, sizeof exception);
    char reason[control::k_text];
    snprintf(reason, sizeof reason, "%s: %s", where, exception);
    give_up(reason);
}

void give_up(const char* reason, control::MessageKind kind) {
    template_.waiting = true;  // nothing of what follows is the prelude's
    // Before the message: the supervisor kills a template that has given up.
    if (template_.bootstrap && !call_bootstrap("give_up")) py.PyErr_Clear();
    control::Message message{};
    message.kind = kind;
    message.rung = template_.rung;
    snprintf(message.text, sizeof message.text, "%s", reason);
    send_packet(template_.control, message, make_last_trace());
    _exit(1);
}

/// The program has come to its end, or raised, in the template.
[[noreturn]] void give_up_at_end(PyObject* result) {
    const bool raised = result == nullptr;
    char exception[control::k_text / 2];
    if (raised) describe_exception(exception, sizeof exception);
    char reason[control::k_text];
    text_of(call_bootstrap("cause_of_end"), reason, sizeof reason);
    if (reason[0] != '\0') give_up(reason);
    if (!raised) give_up("the program ended in its prelude");
    snprintf(reason, sizeof reason, "the prelude raises: %s", exception);
    give_up(reason);
}

int template_main(int argc, char** argv, char**) {
    if (!read_environment()) _exit(1);
    Launch launch{};
    if (const char* missing = load_python(); missing != nullptr) {
        char reason[control::k_text];
        snprintf(reason, sizeof reason, "%s is not a CPython >= 3.8 (it has no %s)", argv[0], missing);
        give_up(reason);
    }
    if (!read_arguments(argc, argv, launch)) give_up("the template's arguments are not as expected");
    note_process_state();
    note_start();
    int count = 0;
    char** plain = plain_arguments(argv, launch, count);
    if (plain == nullptr) give_up("too many arguments");
    if (!capture_streams()) give_up("cannot make the template's streams");

    py.PySys_AddAuditHook(note_event, nullptr);
    // Up to `site` an interpreter that is started by its path reads nothing that counts: PATH, and settings.
    note_variables(false);
    initialize_python(count, plain);
    refuse_importable_script();
    if (!template_.bootstrap) load_bootstrap();  // -S
    const Ref program = prepare();
    remember_identity(program);
    const bool inside = is_true(program, "forks");
    if (!inside) fork_point();
    if (!inside && !replay_output()) finish(nullptr);
    PyObject* result = evaluate(program);
    if (command_.pid != 0) finish(result);
    give_up_at_end(result);
}

}  // namespace quicken::interp
