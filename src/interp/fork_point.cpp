// The template's life after its prelude: is what the prelude left behind fit
// to be forked, then one spare an order.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_state.hpp"
#include "clock.hpp"
#include "expected.hpp"
#include "orphan.hpp"
#include "output.hpp"
#include "packet.hpp"
#include "pretouch.hpp"
#include "process_state.hpp"
#include "template.hpp"
#include "threads.hpp"
#include "trace.hpp"

namespace quicken::interp {

namespace {

bool is_stateless(const char* target) {
    const Ref device(py.PyBytes_FromStringAndSize(target, static_cast<Py_ssize_t>(strlen(target))));
    const Ref answer = call_bootstrap("is_stateless", device.get());
    return answer && py.PyObject_IsTrue(answer.get()) == 1;
}

/// A socket's kind, as its number says nothing to anybody.
const char* kind_of_socket(int fd) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0)
        return "a listening socket";
    sockaddr_storage peer{};
    size = sizeof peer;
    return getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 ? "a connected socket"
                                                                           : "a socket";
}

/// How to call an open descriptor: `target` is what /proc/PID/fd shows, proc(5).
const char* kind_of(int fd, const char* target) {
    if (strncmp(target, "socket:", 7) == 0) return kind_of_socket(fd);
    if (strncmp(target, "pipe:", 5) == 0) return "a pipe";
    if (strcmp(target, "anon_inode:[eventpoll]") == 0) return "a queue of events (epoll, asyncio's loop)";
    return target;
}

/// What the prelude left open would be shared by all commands: a file's position and locks, a connection, a
/// queue of events, the state of a device (CUDA's are /dev/nvidia*).
const char* shared_descriptor() {
    DIR* directory = opendir("/proc/self/fd");
    if (directory == nullptr) return nullptr;
    static char found[control::k_text] = "";
    while (const dirent* entry = readdir(directory)) {
        const int fd = atoi(entry->d_name);
        if (fd <= 2 || fd >= control::k_first_fd) continue;
        char target[256];
        const ssize_t size = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (size <= 0) continue;
        target[size] = '\0';
        if (is_stateless(target) || fd == dirfd(directory)) continue;
        snprintf(found, sizeof found, "the prelude leaves %s open", kind_of(fd, target));
        break;
    }
    closedir(directory);
    return found[0] != '\0' ? found : nullptr;
}

/// All of environ(7) end to end, each with a NUL.
Ref environment_bytes() {
    if (environ == nullptr) return Ref(py.PyBytes_FromStringAndSize("", 0));  // clearenv(3)
    std::size_t size = 0;
    for (char** entry = environ; *entry != nullptr; ++entry) size += strlen(*entry) + 1;
    auto* text = static_cast<char*>(malloc(size + 1));
    if (text == nullptr) return Ref();
    char* at = text;
    for (char** entry = environ; *entry != nullptr; ++entry) at = stpcpy(at, *entry) + 1;
    Ref bytes(py.PyBytes_FromStringAndSize(text, static_cast<Py_ssize_t>(size)));
    free(text);
    return bytes;
}

/// What it then finds in itself may also be the doing of one of those: the supervisor tries it with fewer.
void import_in_advance() {
    if (template_.modules[0] == '\0') return;
    char reason[control::k_text];
    const Ref names(py.PyUnicode_DecodeFSDefault(template_.modules));
    const Ref learns(py.PyLong_FromLong(template_.learn[0] != '\0' ? 1 : 0));
    text_of(call_bootstrap("import_in_advance", names.get(), learns.get()), reason, sizeof reason);
    if (reason[0] != '\0') give_up(reason, control::MessageKind::unfit_modules);
}

/// Ends the template if what it is now cannot serve every client.
void verify_fitness() {
    unwatch_clocks();
    const Ref environment = environment_bytes();
    const Ref readers(clock_readers());
    if (!environment || !readers) give_up_with_exception("at the fork point");
    char reason[control::k_text];
    text_of(call_bootstrap("unfit", environment.get(), readers.get()), reason, sizeof reason);
    if (reason[0] != '\0') give_up(reason);
    if (const char* output = finish_capture()) give_up(output);
    if (const char* state = changed_process_state()) give_up(state);
    if (const char* descriptor = shared_descriptor()) give_up(descriptor);
    if (const char* threads = lost_threads()) give_up(threads);
}

/// With `fd` unless that is -1.
void announce(control::MessageKind kind, std::uint32_t slot, pid_t pid, int fd = -1) {
    control::Message message{};
    message.kind = kind;
    message.rung = template_.rung;
    message.slot = slot;
    message.pid = pid;
    snprintf(message.text, sizeof message.text, "%s", py.Py_GetVersion());
    if (char* blank = strchr(message.text, ' ')) *blank = '\0';
    if (send_packet(template_.control, message, fd) != 0) _exit(0);
}

/// First steps of a spare. It must not outlive the supervisor while it waits; whether that died before
/// prctl took effect is seen by getppid() afterwards (prctl(2), PR_SET_PDEATHSIG).
void start_spare(pid_t supervisor) {
    pretouch();
    leave_streams();
    for (int* fd : {&template_.control, &template_.session_program}) {
        close(*fd);
        *fd = -1;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor) _exit(0);
    py.PyOS_AfterFork_Child();
    if (!call_bootstrap("after_fork")) _exit(1);
}

}  // namespace

void fork_point() {
    import_in_advance();
    template_.waiting = true;
    verify_fitness();
    const int trace = make_trace();
    if (template_.learn[0] != '\0' && !call_bootstrap("begin_learning"))
        give_up_with_exception("at the fork point");
    if (!call_bootstrap("freeze")) give_up_with_exception("at the fork point");
    note_own_state();
    prepare_pretouch();
    prepare_expected();
    const pid_t supervisor = getppid();
    announce(control::MessageKind::ready, 0, 0, trace);
    close(trace);
    control::Message order{};
    while (receive_packet(template_.control, order)) {
        if (order.kind != control::MessageKind::fork_order) continue;
        py.PyOS_BeforeFork();
        const pid_t pid = order.session != 0 ? fork_in_session(template_.session_program, template_.session)
                                             : fork_orphan();
        if (pid == 0) {
            start_spare(supervisor);
            serve_one(order.slot, order.passed != 0);
            return;
        }
        py.PyOS_AfterFork_Parent();
        announce(control::MessageKind::forked, order.slot, pid);
    }
    _exit(0);
}

}  // namespace quicken::interp
