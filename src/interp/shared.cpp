#include "shared.hpp"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/python_line.hpp"
#include "template.hpp"

namespace quicken::interp {

namespace {

using Kind = PythonLine::Kind;

PythonLine line;
FILE* script = nullptr;

const char* name_of(Kind kind) {
    return kind == Kind::file ? "file" : kind == Kind::module ? "module" : "code";
}

Ref shared_attribute(const char* name) {
    return Ref(py.PyObject_GetAttrString(py.PyDict_GetItemString(template_.bootstrap.get(), "Shared"), name));
}

bool is_package() {
    const Ref answer = shared_attribute("package");
    return answer && py.PyObject_IsTrue(answer.get()) == 1;
}

/// Before the commit point: afterwards nobody can run it plainly.
const char* open_script() {
    const int fd = open(line.value, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return "the script cannot be opened";
    struct stat status {};
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(fd);
        return nullptr;
    }
    script = S_ISREG(status.st_mode) ? fdopen(fd, "rb") : nullptr;
    if (script == nullptr) return "the script is not a regular file";
    return nullptr;
}

PyObject* run_as_main(const char* module, bool alter_arguments) {
    const Ref runpy(py.PyImport_ImportModule("runpy"));
    const Ref function(runpy ? py.PyObject_GetAttrString(runpy.get(), "_run_module_as_main") : nullptr);
    const Ref name(py.PyUnicode_DecodeFSDefault(module));
    const Ref alter(py.PyLong_FromLong(alter_arguments ? 1 : 0));
    if (!function || !name) return nullptr;
    return py.PyObject_CallFunctionObjArgs(function.get(), name.get(), alter.get(), nullptr);
}

/// Of "3.N.M".
int minor_version() {
    const char* dot = strchr(py.Py_GetVersion(), '.');
    return dot != nullptr ? atoi(dot + 1) : 0;
}

PyObject* run_code(PyObject* names) {
    constexpr int k_ignore_cookie = 0x0800;  // PyCF_IGNORE_COOKIE, of Python/cpython/compile.h
    struct {                                 // PyCompilerFlags, the same in every version since 3.8
        int flags, feature_version;
    } settings{minor_version() < 10 ? 0 : k_ignore_cookie, minor_version()};  // as Py_RunMain has it
    const std::size_t length = strlen(line.value);
    auto* text = static_cast<char*>(malloc(length + 2));
    if (text == nullptr) return nullptr;
    memcpy(text, line.value, length);
    memcpy(text + length, "\n", 2);
    return py.PyRun_StringFlags(text, Py_file_input, names, names, &settings);
}

}  // namespace

const char* read_shared(const Received& received) {
    auto** words = static_cast<char**>(calloc(received.request.argc + 1, sizeof(char*)));
    if (words == nullptr) return "no memory";
    char* at = const_cast<char*>(received.arguments());
    for (std::uint32_t i = 0; i < received.request.argc; ++i) {
        words[i] = at;
        at += strlen(at) + 1;
    }
    line = read_python_line(words, nullptr);
    if (line.plain != nullptr) return line.plain;
    const Ref kind(py.PyUnicode_FromString(name_of(line.kind)));
    const Ref value(py.PyUnicode_DecodeFSDefault(line.value));
    const Ref first(py.PyLong_FromLong(line.rest - words));
    if (!value || !call_bootstrap("take_line", kind.get(), value.get(), first.get())) return "no memory";
    return nullptr;
}

const char* begin_shared() {
    if (line.kind == Kind::file) {
        if (const char* reason = open_script()) return reason;
    }
    static char reason[control::k_text];
    text_of(call_bootstrap("begin_script"), reason, sizeof reason);
    if (reason[0] != '\0') return reason;
    if (script != nullptr && is_package()) {
        fclose(script);
        script = nullptr;
    }
    return nullptr;
}

PyObject* run_shared() {
    PyObject* names = py.PyModule_GetDict(py.PyImport_AddModule("__main__"));
    if (line.kind == Kind::module) return run_as_main(line.value, true);
    if (line.kind == Kind::code) return run_code(names);
    if (script == nullptr) return run_as_main("__main__", false);
    const Ref filename = shared_attribute("filename");
    // The parser reads the file, closes it, then the code is run.
    return py.PyRun_FileExFlags(script, py.PyBytes_AsString(filename.get()), Py_file_input, names, names, 1,
                                nullptr);
}

bool is_shared_script() {
    return line.kind == Kind::file && script != nullptr;
}

}  // namespace quicken::interp
