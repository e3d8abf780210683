#include "threads.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/control.hpp"
#include "template.hpp"

namespace quicken::interp {

namespace {

constexpr int k_tries = 100;  // a ms each

int count_threads() {
    struct stat status {};
    // st_nlink of /proc/PID/task is the number of threads + 2 (proc(5) leaves it out; fs/proc/base.c has it).
    return stat("/proc/self/task", &status) == 0 ? static_cast<int>(status.st_nlink) - 2 : 1;
}

/// A library ends its threads before every fork and makes them anew when it needs them (OpenBLAS) if they are
/// gone after one.
void fork_once() {
    py.PyOS_BeforeFork();
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    py.PyOS_AfterFork_Parent();
    if (pid > 0) {
        while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
    }
}

const char* library_at(std::uint64_t address) {
    Dl_info info{};
    const bool found = dladdr(reinterpret_cast<const void*>(address), &info) != 0;
    return found && info.dli_fname != nullptr ? info.dli_fname : "";
}

/// Whose thread it is: the library in which lies the lock that it waits for, or else the code that waits. ""
/// if that cannot be told.
const char* library_of(const char* thread) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.16s/syscall", thread);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return "";
    char text[256];
    const ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0) return "";
    text[size] = '\0';
    // "NUMBER ARGUMENT*6 STACK CODE", proc(5); "running" of one that does not wait.
    long number = -1;
    std::uint64_t first = 0;
    std::uint64_t code = 0;
    if (sscanf(text, "%ld %lx %*x %*x %*x %*x %*x %*x %lx", &number, &first, &code) != 3) return "";
    const char* owner = number == SYS_futex ? library_at(first) : "";
    return owner[0] != '\0' ? owner : library_at(code);
}

bool is_safe(const char* library) {
    const Ref path(py.PyBytes_FromStringAndSize(library, static_cast<Py_ssize_t>(strlen(library))));
    const Ref answer = call_bootstrap("is_safe_library", path.get());
    return answer && py.PyObject_IsTrue(answer.get()) == 1;
}

/// The library of the first thread that a fork would lose; nullptr if there is no such thread.
const char* first_lost() {
    if (count_threads() == 1) return nullptr;
    DIR* directory = opendir("/proc/self/task");
    if (directory == nullptr) return "";
    const char* lost = nullptr;
    while (const dirent* entry = readdir(directory)) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid()) continue;
        const char* library = library_of(entry->d_name);
        if (is_safe(library)) continue;
        lost = library;
        break;
    }
    closedir(directory);
    return lost;
}

}  // namespace

const char* lost_threads() {
    if (count_threads() == 1) return nullptr;
    fork_once();
    // A joined thread leaves /proc a little after its join; one that is on its way to its lock gets there.
    const char* lost = first_lost();
    for (int i = 0; i < k_tries && lost != nullptr; ++i) {
        usleep(1000);
        lost = first_lost();
    }
    if (lost == nullptr) return nullptr;
    static char reason[control::k_text];
    const char* name = strrchr(lost, '/');
    snprintf(reason, sizeof reason, "the prelude leaves threads that a fork would lose%s%s",
             name != nullptr ? ": of " : "", name != nullptr ? name + 1 : "");
    return reason;
}

}  // namespace quicken::interp
