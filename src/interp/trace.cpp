#include "trace.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>

#include "common/blind.hpp"
#include "common/key.hpp"
#include "common/trace.hpp"
#include "environment.hpp"
#include "template.hpp"

namespace quicken::interp {

namespace {

using trace::for_each_record;
using trace::Header;
using trace::Identity;
using trace::Kind;

/// A file or directory that a spare may have to look at itself. Texts are NUL-terminated copies.
struct Watched {
    Kind kind;
    bool blind;         // no events come from there
    Identity identity;  // of a directory: as it was at the fork point, when it had the entries found
    const char* path;
    const char* asked;
    const char* found;
};

/// Made once, in the template.
struct Prepared {
    Watched* watched = nullptr;
    std::size_t watched_count = 0;
    bool some_blind = false;
};

Prepared prepared;
alignas(Key) unsigned char key_memory[sizeof(Key)];  // never destroyed: nothing of a command is taken apart
Key* key = nullptr;
Ref records;  // bytes; `*key` and `prepared` point into them

template <typename Type>
Type* allocate(std::size_t count) {
    auto* memory = static_cast<Type*>(calloc(count + 1, sizeof(Type)));
    if (memory == nullptr) give_up("no memory for the trace");
    return memory;
}

// --- files -----------------------------------------------------------------------

/// Of what is not there the nearest directory that is.
bool is_blind(const char* path) {
    char nearest[4096];
    snprintf(nearest, sizeof nearest, "%s", path);
    struct stat status {};
    while (stat(nearest, &status) != 0) {
        char* slash = strrchr(nearest, '/');
        if (slash == nullptr || slash == nearest) return is_blind_system("/");
        *slash = '\0';
    }
    static dev_t known_device = 0;
    static bool known = false, known_blind = false;
    if (!known || status.st_dev != known_device) {
        known = true;
        known_device = status.st_dev;
        known_blind = is_blind_system(nearest);
    }
    return known_blind;
}

Identity counted_identity(const Watched& watched) {
    struct stat status {};
    const int flags = watched.kind == Kind::entry ? AT_SYMLINK_NOFOLLOW : 0;
    return fstatat(AT_FDCWD, watched.path, &status, flags) == 0 ? trace::counted_identity(status)
                                                                : Identity{};
}

/// Of a directory, times and all. All 0 if there is nothing.
Identity identity_of(const char* path) {
    struct stat status {};
    if (stat(path, &status) != 0) return {};
    return {status.st_dev,         status.st_ino,          static_cast<std::uint64_t>(status.st_size),
            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
            status.st_ctim.tv_nsec};
}

/// Whether `name` is one of the names that `list` separates by '/'.
bool is_listed(const char* list, const char* name, std::size_t length) {
    while (true) {
        const std::size_t size = strcspn(list, "/");
        if (size == length && memcmp(list, name, size) == 0) return true;
        if (list[size] == '\0') return false;
        list += size + 1;
    }
}

std::size_t count_names(const char* list) {
    if (*list == '\0') return 0;
    std::size_t count = 1;
    for (; *list != '\0'; ++list) count += *list == '/' ? 1 : 0;
    return count;
}

bool directory_changed(const Watched& watched) {
    std::size_t missing = count_names(watched.found);
    DIR* directory = opendir(watched.path);
    if (directory == nullptr) return missing != 0;
    const bool all = strcmp(watched.asked, "*") == 0;
    bool added = false;
    while (const dirent* entry = readdir(directory)) {
        const char* name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (!all && !is_listed(watched.asked, name, strcspn(name, "."))) continue;
        if (missing == 0 || !is_listed(watched.found, name, strlen(name))) {
            added = true;
            break;
        }
        --missing;
    }
    closedir(directory);
    return added || missing != 0;
}

/// A directory that is as it was has the entries that it had.
bool has_changed(const Watched& watched) {
    if (watched.kind != Kind::directory) return counted_identity(watched) != watched.identity;
    if (identity_of(watched.path) == watched.identity) return false;
    return directory_changed(watched);
}

bool is_watched(Kind kind) {
    return kind == Kind::file || kind == Kind::directory || kind == Kind::entry;
}

void prepare_files(const char* bytes, std::size_t size) {
    std::size_t count = 0;
    for_each_record(bytes, size, [&count](const Header& header, const char*) {
        count += is_watched(header.kind) ? 1 : 0;
    });
    prepared.watched = allocate<Watched>(count);
    for_each_record(bytes, size, [](const Header& header, const char* content) {
        if (!is_watched(header.kind)) return;
        Watched& watched = prepared.watched[prepared.watched_count++];
        char* text = allocate<char>(header.length);
        memcpy(text, content, header.length);
        watched.kind = header.kind;
        watched.path = text;
        watched.blind = is_blind(text);
        prepared.some_blind = prepared.some_blind || watched.blind;
        watched.identity = header.identity;
        if (watched.kind != Kind::directory) return;
        watched.asked = text + strlen(text) + 1;
        watched.found = watched.asked + strlen(watched.asked) + 1;
        // Only while it has them is its identity a short cut. Of nothing it is none: there may be something.
        const Identity now = identity_of(text);
        if (!directory_changed(watched)) watched.identity = now;
    });
}

// --- the memfd -------------------------------------------------------------------

/// -1 if there is no memory for it.
int write_memfd(const char* bytes, std::size_t size) {
    const int fd = memfd_create("quicken-trace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    for (std::size_t written = 0; written < size;) {
        const ssize_t part = write(fd, bytes + written, size - written);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) {
            close(fd);
            return -1;
        }
        written += static_cast<std::size_t>(part);
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    return fd;
}

/// What a function of trace.py makes of what it and we have noted.
Ref call_records(const char* function) {
    note_variables(false);
    std::size_t noted_size = 0;
    const char* noted = noted_variables(noted_size);
    const Ref names = noted != nullptr
                          ? Ref(py.PyBytes_FromStringAndSize(noted, static_cast<Py_ssize_t>(noted_size)))
                          : Ref::borrow(py.none);
    return call_bootstrap(function, names.get());
}

bool is_too_long(const char* bytes, std::size_t size) {
    bool too_long = size > trace::k_max_trace;
    for_each_record(bytes, size, [&too_long](const Header& header, const char*) {
        too_long = too_long || header.length > trace::k_max_text;
    });
    return too_long;
}

}  // namespace

int make_trace() {
    records = call_records("trace_records");
    if (!records) give_up_with_exception("the trace");
    const char* bytes = py.PyBytes_AsString(records.get());
    const auto size = static_cast<std::size_t>(py.PyBytes_Size(records.get()));
    if (is_too_long(bytes, size)) give_up("the prelude reads more than can be watched");
    const int fd = write_memfd(bytes, size);
    if (fd < 0) give_up("cannot make shared memory for the trace");
    key = ::new (key_memory) Key;
    if (!key->read(bytes, size)) give_up("no memory for the trace");
    prepare_files(bytes, size);
    return fd;
}

int make_last_trace() {
    if (!template_.bootstrap) return -1;
    const Ref known = call_records("last_records");
    if (!known) {
        py.PyErr_Clear();
        return -1;
    }
    const char* bytes = py.PyBytes_AsString(known.get());
    const auto size = static_cast<std::size_t>(py.PyBytes_Size(known.get()));
    return is_too_long(bytes, size) ? -1 : write_memfd(bytes, size);
}

void prepare_comparison() {
    key->prepare();
}

const char* compare_key(const Received& received, const char* directory) {
    return key->difference({received.request, received.body, directory});
}

bool files_changed(bool all) {
    if (!all && !prepared.some_blind) return false;
    for (std::size_t i = 0; i < prepared.watched_count; ++i) {
        const Watched& watched = prepared.watched[i];
        if ((all || watched.blind) && has_changed(watched)) return true;
    }
    return false;
}

}  // namespace quicken::interp
