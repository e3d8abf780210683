#include "client_state.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace quicken::interp {

namespace {

constexpr int k_io_who_process = 1;  // IOPRIO_WHO_PROCESS, linux/ioprio.h

/// The lines of /proc/PID/status (proc(5)) that matter here.
struct Status {
    std::uint64_t blocked = 0;
    std::uint64_t ignored = 0;
    std::uint64_t capabilities = 0;
    unsigned no_new_privileges = 0;
    unsigned seccomp = 0;
    mode_t umask = 0;
};

constexpr const char* k_namespace_names[] = {"mnt", "net", "pid", "user", "ipc", "uts"};
constexpr std::size_t k_namespaces = sizeof k_namespace_names / sizeof k_namespace_names[0];

struct NamespaceLink {
    char text[48];
};

struct OwnState {
    NamespaceLink namespaces[k_namespaces];
    Status status;
    rlimit limits[RLIM_NLIMITS];
    int nice = 0;
    int policy = 0;
    sched_param parameters{};
    long io_priority = 0;
    cpu_set_t affinity;
    char oom_score[16];
};

OwnState own;

/// Contents of a small file of /proc, NUL-terminated. False if it cannot be read.
bool read_file(const char* path, char* text, std::size_t size) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t got = read(fd, text, size - 1);
    close(fd);
    if (got < 0) return false;
    text[got] = '\0';
    return true;
}

std::uint64_t number(const char* text, const char* name, int base = 16) {
    const char* line = strstr(text, name);
    return line != nullptr ? strtoull(line + strlen(name), nullptr, base) : 0;
}

bool read_status(pid_t pid, Status& status) {
    char path[64];
    char text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (!read_file(path, text, sizeof text)) return false;
    status.blocked = number(text, "\nSigBlk:\t");
    status.ignored = number(text, "\nSigIgn:\t");
    status.capabilities = number(text, "\nCapEff:\t");
    status.no_new_privileges = static_cast<unsigned>(number(text, "\nNoNewPrivs:\t"));
    status.umask = static_cast<mode_t>(number(text, "\nUmask:\t", 8));
    status.seccomp = static_cast<unsigned>(number(text, "\nSeccomp:\t"));
    return true;
}

bool read_oom_score(const char* process, char (&text)[16]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/oom_score_adj", process);
    return read_file(path, text, sizeof text);
}

/// The link that names a namespace of a process (namespaces(7)); two are the same if their links are.
NamespaceLink namespace_of(pid_t pid, const char* name) {
    char path[64];
    NamespaceLink link{};
    snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
    if (readlink(path, link.text, sizeof link.text - 1) < 0) link.text[0] = '\0';
    return link;
}

const char* more_confined(pid_t client, const Status& theirs) {
    if (theirs.no_new_privileges > own.status.no_new_privileges)
        return "the client has no_new_privs, the server has not";
    if (theirs.seccomp > own.status.seccomp) return "the client has a seccomp filter, the server has none";
    if ((own.status.capabilities & ~theirs.capabilities) != 0)
        return "the client has fewer capabilities than the server";
    for (std::size_t i = 0; i < k_namespaces; ++i) {
        const NamespaceLink link = namespace_of(client, k_namespace_names[i]);
        if (strcmp(link.text, own.namespaces[i].text) != 0)
            return "the client is in other namespaces than the server";
    }
    return nullptr;
}

/// A hard limit can be lowered for good but not raised; the soft one goes up to it.
/// False if a limit is lower than the client's.
bool adopt_limits(pid_t client) {
    bool all = true;
    for (unsigned resource = 0; resource < RLIM_NLIMITS; ++resource) {
        const auto which = static_cast<__rlimit_resource>(resource);
        rlimit theirs{};
        if (prlimit(client, which, nullptr, &theirs) != 0) continue;
        const rlimit& ours = own.limits[resource];
        if (theirs.rlim_cur == ours.rlim_cur && theirs.rlim_max == ours.rlim_max) continue;
        if (setrlimit(which, &theirs) == 0) continue;
        if (theirs.rlim_max > ours.rlim_max) theirs.rlim_max = ours.rlim_max;
        if (theirs.rlim_cur > theirs.rlim_max) theirs.rlim_cur = theirs.rlim_max;
        setrlimit(which, &theirs);
        all = false;
    }
    return all;
}

void adopt_scheduling(pid_t client) {
    errno = 0;
    const int nice = getpriority(PRIO_PROCESS, static_cast<id_t>(client));
    if (errno == 0 && nice != own.nice) setpriority(PRIO_PROCESS, 0, nice);
    const int policy = sched_getscheduler(client);
    sched_param parameters{};
    sched_getparam(client, &parameters);
    if (policy >= 0 && (policy != own.policy || parameters.sched_priority != own.parameters.sched_priority)) {
        sched_setscheduler(0, policy, &parameters);
    }
    const long io_priority = syscall(SYS_ioprio_get, k_io_who_process, client);
    if (io_priority >= 0 && io_priority != own.io_priority)
        syscall(SYS_ioprio_set, k_io_who_process, 0, io_priority);
    cpu_set_t affinity;
    if (sched_getaffinity(client, sizeof affinity, &affinity) == 0 && !CPU_EQUAL(&affinity, &own.affinity)) {
        sched_setaffinity(0, sizeof affinity, &affinity);
    }
}

void adopt_oom_score(pid_t client) {
    char process[16];
    char theirs[16];
    snprintf(process, sizeof process, "%d", client);
    if (!read_oom_score(process, theirs) || strcmp(theirs, own.oom_score) == 0) return;
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    // Below what the service manager set with privilege the kernel does not let it go: it stays.
    [[maybe_unused]] const ssize_t written = write(fd, theirs, strlen(theirs));
    close(fd);
}

}  // namespace

void note_own_state() {
    read_status(getpid(), own.status);
    for (std::size_t i = 0; i < k_namespaces; ++i)
        own.namespaces[i] = namespace_of(getpid(), k_namespace_names[i]);
    for (unsigned resource = 0; resource < RLIM_NLIMITS; ++resource) {
        getrlimit(static_cast<__rlimit_resource>(resource), &own.limits[resource]);
    }
    own.nice = getpriority(PRIO_PROCESS, 0);
    own.policy = sched_getscheduler(0);
    sched_getparam(0, &own.parameters);
    own.io_priority = syscall(SYS_ioprio_get, k_io_who_process, 0);
    sched_getaffinity(0, sizeof own.affinity, &own.affinity);
    if (!read_oom_score("self", own.oom_score)) own.oom_score[0] = '\0';
}

const char* adopt_state(pid_t client, std::uint64_t mask, std::uint64_t& ignored, const char*& note) {
    Status theirs;
    if (!read_status(client, theirs)) return "the client's state cannot be read";
    if (const char* reason = more_confined(client, theirs)) return reason;
    note = adopt_limits(client) ? "" : "a resource limit is lower, as it is for the server";
    adopt_scheduling(client);
    adopt_oom_score(client);
    umask(theirs.umask);
    ignored = theirs.ignored;
    // In this process's own words: the kernel's set is 64 bits, glibc's is larger.
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask);
    return nullptr;
}

const char* directory_of(pid_t client) {
    static char path[32];
    snprintf(path, sizeof path, "/proc/%d/cwd", client);
    return path;
}

bool blocks_signal(pid_t pid, int signal) {
    Status status;
    return read_status(pid, status) && (status.blocked >> (signal - 1) & 1) != 0;
}

}  // namespace quicken::interp
