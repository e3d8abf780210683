#include "files.hpp"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <initializer_list>

#include "common/trace.hpp"
#include "python_api.hpp"

namespace quicken::interp {

// Constant-initialized: other libraries' constructors run before ours would.
std::atomic<bool> noting_files{false};
thread_local int quiet_files __attribute__((tls_model("initial-exec"))) = 0;
thread_local const void* file_caller __attribute__((tls_model("initial-exec"))) = nullptr;

namespace {

constexpr std::uint32_t k_bytes = 4U << 20;
constexpr std::uint32_t k_slots = 32768;  // a power of 2

alignas(4096) char notes[k_bytes];  // records of common/trace.hpp end to end
std::atomic<std::uint32_t> used{0};
// Bytes that have been filled: as many as are used unless somebody is at it.
std::atomic<std::uint32_t> complete{0};
std::uint32_t taken = 0;
std::atomic<bool> lost{false};
std::atomic<pid_t> owner{0};               // a child of a prelude that shares our memory (vfork) is not it
std::atomic<std::uint64_t> seen[k_slots];  // hashes of what was noted before

struct Restored {
    int number = errno;
    ~Restored() { errno = number; }
};

/// False, and noted, unless it was.
bool is_known(FileNote kind, const char* path) {
    std::uint64_t hash = 14695981039346656037ULL ^ static_cast<std::uint64_t>(kind);  // FNV-1a
    for (const char* at = path; *at != '\0'; ++at)
        hash = (hash ^ static_cast<unsigned char>(*at)) * 1099511628211ULL;
    if (hash == 0) hash = 1;
    for (std::uint64_t i = 0; i < 64; ++i) {
        std::atomic<std::uint64_t>& slot = seen[(hash + i) & (k_slots - 1)];
        std::uint64_t found = slot.load(std::memory_order_relaxed);
        if (found == hash) return true;
        if (found == 0 && slot.compare_exchange_strong(found, hash, std::memory_order_relaxed)) return false;
        if (found == hash) return true;
    }
    return false;  // noted twice at worst
}

void append(FileNote kind, const trace::Identity& identity, const char* text, std::size_t length) {
    const trace::Header header{static_cast<trace::Kind>(kind), static_cast<std::uint32_t>(length), identity};
    const auto size = static_cast<std::uint32_t>(sizeof header + length);
    std::uint32_t at = used.load(std::memory_order_relaxed);
    do {
        if (size > k_bytes - at) {
            lost.store(true);
            return;
        }
    } while (!used.compare_exchange_weak(at, at + size, std::memory_order_relaxed));
    memcpy(notes + at, &header, sizeof header);
    if (length != 0) memcpy(notes + at + sizeof header, text, length);
    complete.fetch_add(size, std::memory_order_release);
}

bool starts_with(const char* path, const char* prefix) {
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

bool is_of_a_process(const char* path) {
    for (const char* stream : {"/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/"})
        if (starts_with(path, stream)) return true;
    if (!starts_with(path, "/proc/")) return false;
    const char first = path[6];
    return (first >= '0' && first <= '9') || starts_with(path + 6, "self/") ||
           starts_with(path + 6, "thread-self/");
}

/// Where it leads is another file for each client.
bool is_a_descriptor(const char* path) {
    return starts_with(path, "/dev/") || starts_with(path, "/proc/self/fd/") ||
           starts_with(path, "/proc/self/cwd");
}

/// What there says changes by itself; compiled modules are those of their sources.
bool is_untraced(const char* path) {
    if (starts_with(path, "/dev/")) return !starts_with(path, "/dev/shm/");
    if (starts_with(path, "/proc/") || starts_with(path, "/sys/")) return true;
    const char* compiled = strstr(path, "/__pycache__/");
    return compiled != nullptr && strstr(compiled, ".pyc") != nullptr;
}

/// False if it cannot be told. An empty path is the descriptor's own (AT_EMPTY_PATH).
bool make_absolute(int directory, const char* path, char (&absolute)[PATH_MAX]) {
    std::size_t length = 0;
    if (path[0] != '/' && directory == AT_FDCWD) {
        if (getcwd(absolute, sizeof absolute) == nullptr) return false;
        length = strlen(absolute);
        append(FileNote::relative, {}, nullptr, 0);
    } else if (path[0] != '/') {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        const ssize_t size = readlink(link, absolute, sizeof absolute - 1);
        if (size <= 0) return errno == ENOENT;  // no descriptor: the call is to fail
        length = static_cast<std::size_t>(size);
        absolute[length] = '\0';
        if (absolute[0] != '/') return true;  // a pipe
    }
    if (length != 0 && path[0] != '\0') absolute[length++] = '/';
    const std::size_t rest = strlen(path);
    if (length + rest >= sizeof absolute) return false;
    memcpy(absolute + length, path, rest + 1);
    return true;
}

trace::Identity identity_of(const char* path, bool follow) {
    struct stat status {};
    return fstatat(AT_FDCWD, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0
               ? trace::counted_identity(status)
               : trace::Identity{};
}

void note_absolute(FileNote kind, const char* path, const char* function) {
    if (path[0] != '/') return;
    if (kind == FileNote::changed) {
        char text[PATH_MAX + 64];
        const int length = snprintf(text, sizeof text, "%s%c%s", function, '\0', path);
        return append(kind, {}, text, static_cast<std::size_t>(length));
    }
    const bool looks = function != nullptr;
    if ((!looks || is_a_descriptor(path)) && is_of_a_process(path) && is_interpreter(file_caller))
        return append(FileNote::process, {}, path, strlen(path));
    if (is_untraced(path) || is_known(kind, path)) return;
    append(kind, identity_of(path, kind != FileNote::entry), path, strlen(path));
}

// --- for trace.py ------------------------------------------------------------------

PyObject* take_files(PyObject*, PyObject*) {
    if (lost.exchange(false)) append(FileNote::unknown, {}, nullptr, 0);
    const std::uint32_t end = used.load();
    if (complete.load(std::memory_order_acquire) != end)  // a thread is at it: later
        return py.PyBytes_FromStringAndSize(nullptr, 0);
    PyObject* bytes = py.PyBytes_FromStringAndSize(notes + taken, static_cast<Py_ssize_t>(end - taken));
    taken = end;
    return bytes;
}

/// Whether to note from now on. In the end nothing is kept.
PyObject* watch_files(PyObject*, PyObject* wanted) {
    owner.store(getpid());
    noting_files.store(py.PyObject_IsTrue(wanted) == 1);
    py.Py_IncRef(py.none);
    return py.none;
}

PyObject* forget_files(PyObject*, PyObject*) {
    madvise(notes, sizeof notes, MADV_DONTNEED);
    py.Py_IncRef(py.none);
    return py.none;
}

PyObject* identity_function(PyObject* follow, PyObject* path) {
    const char* text = py.PyBytes_AsString(path);
    if (text == nullptr) return nullptr;
    const QuietFiles quiet;
    const trace::Identity identity = identity_of(text, follow == py.none);
    return py.PyBytes_FromStringAndSize(reinterpret_cast<const char*>(&identity), sizeof identity);
}

/// A function that calls another one, its __self__, unnoted.
PyObject* call_quietly(PyObject* function, PyObject* arguments, PyObject* keywords) {
    const QuietFiles quiet;
    return py.PyObject_Call(function, arguments, keywords);
}

PyMethodDef quiet_method = {"quiet", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call_quietly)),
                            METH_VARARGS | METH_KEYWORDS, nullptr};

PyObject* make_quiet(PyObject*, PyObject* function) {
    return py.PyCFunction_NewEx(&quiet_method, function, nullptr);
}

PyMethodDef methods[] = {{"take_files", take_files, METH_NOARGS, nullptr},
                         {"watch_files", watch_files, METH_O, nullptr},
                         {"forget_files", forget_files, METH_NOARGS, nullptr},
                         {"counted_identity", identity_function, METH_O, nullptr},
                         {"make_quiet", make_quiet, METH_O, nullptr}};
PyMethodDef entry_method = {"entry_identity", identity_function, METH_O, nullptr};

bool add_function(PyObject* names, PyMethodDef& method, PyObject* self) {
    const Ref function(py.PyCFunction_NewEx(&method, self, nullptr));
    return function && py.PyDict_SetItemString(names, method.ml_name, function.get()) == 0;
}

}  // namespace

void note_file(FileNote kind, int directory, const char* path, const char* function) {
    if (path == nullptr || getpid() != owner.load()) return;
    const Restored restored;
    const QuietFiles quiet;
    char absolute[PATH_MAX] = "";
    if (strlen(path) >= PATH_MAX) return;  // there can be none
    if (!make_absolute(directory, path, absolute)) return append(FileNote::unknown, {}, nullptr, 0);
    note_absolute(kind, absolute, function);
}

void note_fd(FileNote kind, int fd, const char* function) {
    note_file(kind, fd, "", function);
}

bool add_file_functions(PyObject* names) {
    for (PyMethodDef& method : methods)
        if (!add_function(names, method, py.none)) return false;
    return add_function(names, entry_method, names);
}

}  // namespace quicken::interp
