// The template's life after its prelude: is what the prelude left behind fit
// to be forked, then one spare an order.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orphan.hpp"
#include "packet.hpp"
#include "process_state.hpp"
#include "template.hpp"
#include "trace.hpp"

namespace quicken::interp {

namespace {

int count_threads() {
    struct stat status {};
    // st_nlink of /proc/PID/task is the number of threads + 2 (proc(5) leaves it out; fs/proc/base.c has it).
    return stat("/proc/self/task", &status) == 0 ? static_cast<int>(status.st_nlink) - 2 : 1;
}

/// Threads that a library ends before every fork and makes anew when it needs them (OpenBLAS) are harmless,
/// and this is how to tell them from those that a fork would lose: after one fork they are gone.
bool threads_survive_fork() {
    if (count_threads() == 1) return false;
    py.PyOS_BeforeFork();
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    py.PyOS_AfterFork_Parent();
    if (pid > 0) {
        while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
    }
    // A joined thread leaves /proc a little after its join.
    for (int i = 0; i < 100 && count_threads() > 1; ++i) usleep(1000);
    return count_threads() > 1;
}

bool is_stateless(const char* target) {
    for (const char* device : {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}) {
        if (strcmp(target, device) == 0) return true;
    }
    return false;
}

/// What the prelude left open would be shared by all commands: a file's position and locks, a connection, a
/// queue of events.
const char* shared_descriptor() {
    DIR* directory = opendir("/proc/self/fd");
    if (directory == nullptr) return nullptr;
    static char found[128] = "";
    while (const dirent* entry = readdir(directory)) {
        const int fd = atoi(entry->d_name);
        if (fd <= 2 || fd >= control::k_first_fd) continue;
        char target[64];
        const ssize_t size = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (size <= 0) continue;
        target[size] = '\0';
        if (is_stateless(target) || fd == dirfd(directory)) continue;
        snprintf(found, sizeof found, "the prelude leaves %s open", target);
    }
    closedir(directory);
    return found[0] != '\0' ? found : nullptr;
}

/// What it then finds in itself may also be the doing of one of those: the supervisor tries it with fewer.
void import_in_advance() {
    if (template_.modules[0] == '\0') return;
    char reason[control::k_text];
    const Ref names(py.PyUnicode_DecodeFSDefault(template_.modules));
    text_of(call_bootstrap("import_in_advance", names.get()), reason, sizeof reason);
    if (reason[0] != '\0') give_up(reason, control::MessageKind::unfit_modules);
}

/// Ends the template if what it is now cannot serve every client.
void verify_fitness() {
    char reason[control::k_text];
    text_of(call_bootstrap("unfit"), reason, sizeof reason);
    if (reason[0] != '\0') give_up(reason);
    int printed = 0;
    if (ioctl(template_.capture, FIONREAD, &printed) == 0 && printed > 0) give_up("the prelude prints");
    if (const char* state = changed_process_state()) give_up(state);
    if (const char* descriptor = shared_descriptor()) give_up(descriptor);
    if (threads_survive_fork()) give_up("the prelude leaves threads that a fork would lose");
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
    for (int* fd : {&template_.control, &template_.capture, &template_.session_program}) {
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
            serve_one(order.slot);
            return;
        }
        py.PyOS_AfterFork_Parent();
        announce(control::MessageKind::forked, order.slot, pid);
    }
    _exit(0);
}

}  // namespace quicken::interp
