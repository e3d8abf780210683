#include "process_state.hpp"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "template.hpp"

namespace quicken::interp {

namespace {

constexpr int k_io_who_process = 1;  // IOPRIO_WHO_PROCESS, linux/ioprio.h

/// What adopt_state() takes from the client: a prelude's change of it would be lost.
struct State {
    rlimit limits[RLIM_NLIMITS];
    int nice;
    int policy;
    sched_param parameters;
    long io_priority;
    cpu_set_t affinity;
    std::uint64_t blocked;
};

/// What a spare has from its birth otherwise than the template, or cannot be put right in the command.
struct Place {
    uid_t users[3];
    gid_t groups[3];
    pid_t session;
    pid_t group;
    dev_t root_device;
    ino_t root;
    int personality;
    int timer_slack;
    int reaps;
    int death_signal;
    int dumpable;
    char name[16];
};

State started;
Place started_in;

void read_place(Place& place) {
    memset(&place, 0, sizeof place);  // compared as a whole
    getresuid(&place.users[0], &place.users[1], &place.users[2]);
    getresgid(&place.groups[0], &place.groups[1], &place.groups[2]);
    place.session = getsid(0);
    place.group = getpgrp();
    struct stat root {};
    if (stat("/", &root) == 0) {
        place.root_device = root.st_dev;
        place.root = root.st_ino;
    }
    place.personality = personality(0xffffffff);  // asks, personality(2)
    place.timer_slack = prctl(PR_GET_TIMERSLACK);
    prctl(PR_GET_CHILD_SUBREAPER, &place.reaps);
    prctl(PR_GET_PDEATHSIG, &place.death_signal);
    place.dumpable = prctl(PR_GET_DUMPABLE);
    prctl(PR_GET_NAME, place.name);
}

const char* changed_place() {
    Place now;
    read_place(now);
    if (memcmp(now.name, started_in.name, sizeof now.name) != 0)
        return "the prelude changes the process's name";
    if (now.session != started_in.session || now.group != started_in.group)
        return "the prelude changes its process group or session";
    if (memcmp(&now, &started_in, sizeof now) != 0)
        return "the prelude changes what its process is: user, root directory, or a setting of prctl(2)";
    return nullptr;
}

void read_state(State& state) {
    memset(&state, 0, sizeof state);  // compared as a whole
    for (unsigned resource = 0; resource < RLIM_NLIMITS; ++resource) {
        getrlimit(static_cast<__rlimit_resource>(resource), &state.limits[resource]);
    }
    state.nice = getpriority(PRIO_PROCESS, 0);
    state.policy = sched_getscheduler(0);
    sched_getparam(0, &state.parameters);
    state.io_priority = syscall(SYS_ioprio_get, k_io_who_process, 0);
    sched_getaffinity(0, sizeof state.affinity, &state.affinity);
    // In the kernel's words: its set is 64 bits, glibc's is larger.
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, nullptr, &state.blocked, sizeof state.blocked);
}

const char* changed_inheritance() {
    State now;
    read_state(now);
    if (memcmp(now.limits, started.limits, sizeof now.limits) != 0)
        return "the prelude changes resource limits";
    if (now.blocked != started.blocked) return "the prelude blocks signals";
    if (memcmp(&now, &started, sizeof now) != 0) return "the prelude changes how it is scheduled";
    return nullptr;
}

/// Memory that forks share, other than our board: semaphores, values of multiprocessing, anonymous mappings.
bool leaves_shared_memory() {
    FILE* maps = fopen("/proc/self/maps", "re");
    if (maps == nullptr) return false;
    bool found = false;
    char line[512];
    bool whole = true;
    while (fgets(line, sizeof line, maps) != nullptr) {
        const bool starts = whole;
        whole = strchr(line, '\n') != nullptr;
        char permissions[8] = "";
        unsigned long address = 0;
        if (!starts || sscanf(line, "%lx-%*x %7s", &address, permissions) != 2) continue;
        const bool ours = address == reinterpret_cast<unsigned long>(template_.board);
        if (strcmp(permissions, "rw-s") == 0 && !ours) found = true;
    }
    fclose(maps);
    return found;
}

bool leaves_timer() {
    for (const auto timer : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
        itimerval left{};
        if (getitimer(timer, &left) == 0 && (left.it_value.tv_sec != 0 || left.it_value.tv_usec != 0))
            return true;
    }
    // Those of timer_create(2), which a fork does not inherit either: a line a timer, proc(5).
    FILE* timers = fopen("/proc/self/timers", "re");
    if (timers == nullptr) return false;
    const bool found = fgetc(timers) != EOF;
    fclose(timers);
    return found;
}

}  // namespace

void note_process_state() {
    read_state(started);
    read_place(started_in);
    template_.umask = umask(0);
    umask(template_.umask);
    if (getcwd(template_.directory, sizeof template_.directory) == nullptr) template_.directory[0] = '\0';
}

const char* changed_process_state() {
    char directory[sizeof template_.directory];
    if (getcwd(directory, sizeof directory) == nullptr) directory[0] = '\0';
    if (strcmp(directory, template_.directory) != 0) return "the prelude changes the working directory";
    const mode_t mask = umask(0);
    umask(mask);
    if (mask != template_.umask) return "the prelude changes the umask";
    if (leaves_timer()) return "the prelude leaves a running timer";
    siginfo_t child{};
    if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0)
        return "the prelude leaves a child process";
    if (leaves_shared_memory()) return "the prelude leaves memory that all commands would share";
    if (const char* place = changed_place()) return place;
    return changed_inheritance();
}

}  // namespace quicken::interp
