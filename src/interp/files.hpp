// What a prelude opens, looks at and changes in the filesystem, whoever does it:
// Python, SQLite, OpenSSL, code in C of which no audit event tells.
//
// open(2), stat(2), chmod(2) and their kin are interposed (file_calls.cpp). They do
// what the C library's do; while the prelude runs they also note the path, made
// absolute, and what was there before. They may be called before any constructor
// has run, from any thread and with any lock held: nothing is allocated and
// nothing waits.
#pragma once

#include <atomic>
#include <cstdint>

#include "python_api.hpp"

namespace quicken::interp {

/// Values of Header::kind (common/trace.hpp) in what take_files() gives; trace.py has the same.
enum class FileNote : std::uint32_t {
    read = 1,  // opened for reading, or looked at with links followed
    entry,     // looked at without
    written,   // opened for writing
    changed,   // its attributes set, or a node made: the text is the function, NUL, the path
    process,   // opened by Python below /proc/PID, or for what a standard stream is: what it says is of this
               // process
    relative,  // no text: a path was taken from the working directory
    unknown    // no text: a path could not be told, or there were too many to note
};

extern std::atomic<bool> noting_files;
extern thread_local int quiet_files __attribute__((tls_model("initial-exec")));

extern thread_local const void* file_caller __attribute__((tls_model("initial-exec")));

inline bool is_noting_files(const void* caller) {
    if (!noting_files.load(std::memory_order_relaxed) || quiet_files != 0) return false;
    file_caller = caller;
    return true;
}

/// While there is one, what this thread does is not noted: it is quicken's own doing.
struct QuietFiles {
    QuietFiles() { ++quiet_files; }
    ~QuietFiles() { --quiet_files; }
    QuietFiles(const QuietFiles&) = delete;
    QuietFiles& operator=(const QuietFiles&) = delete;
};

/// Before it is done. `directory`: as openat(2) has it. Keeps errno.
void note_file(FileNote kind, int directory, const char* path, const char* function = nullptr);

/// The same of the file of an fd.
void note_fd(FileNote kind, int fd, const char* function);

/// Gives trace.py its functions. False with an exception set.
bool add_file_functions(PyObject* names);

}  // namespace quicken::interp
