#include "trace.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/trace.hpp"
#include "environment.hpp"
#include "template.hpp"

namespace quicken::interp {

namespace {

using trace::Header;
using trace::Identity;
using trace::Kind;

/// A record in the bytes of the trace, which are not aligned.
struct Record {
    Header header;
    const char* text;  // header.length bytes
};

struct Variable {
    const char* name;
    std::size_t name_length;
    const char* value;  // nullptr: not set
    std::size_t value_length;
};

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
    Variable* variables = nullptr;
    std::uint32_t variable_count = 0;
    bool everything = false;
    std::uint32_t* slots = nullptr;  // of the variables by hash: index + 1, or 0
    std::uint32_t slot_count = 0;    // a power of 2
    unsigned char* seen = nullptr;   // of each variable
    Watched* watched = nullptr;
    std::size_t watched_count = 0;
    bool some_blind = false;
};

Prepared prepared;
Ref records;  // bytes; `prepared` points into them

/// Calls `use` for each record. The bytes are our own: complete.
template <typename Use>
void for_each_record(const char* bytes, std::size_t size, Use use) {
    for (std::size_t at = 0; at < size;) {
        Record record{};
        memcpy(&record.header, bytes + at, sizeof record.header);
        record.text = bytes + at + sizeof record.header;
        at += sizeof record.header + record.header.length;
        use(record);
    }
}

template <typename Type>
Type* allocate(std::size_t count) {
    auto* memory = static_cast<Type*>(calloc(count + 1, sizeof(Type)));
    if (memory == nullptr) give_up("no memory for the trace");
    return memory;
}

// --- variables -------------------------------------------------------------------

/// FNV-1a, to the first '=' or the end.
std::uint32_t hash_name(const char* text, std::size_t limit, std::size_t& length) {
    std::uint32_t hash = 2166136261U;
    for (length = 0; length < limit && text[length] != '=' && text[length] != '\0'; ++length)
        hash = (hash ^ static_cast<unsigned char>(text[length])) * 16777619U;
    return hash;
}

/// The slot of a name, or the free one where it would be.
std::uint32_t& slot_of(std::uint32_t hash, const char* name, std::size_t length) {
    for (;; ++hash) {
        std::uint32_t& slot = prepared.slots[hash & (prepared.slot_count - 1)];
        if (slot == 0) return slot;
        const Variable& known = prepared.variables[slot - 1];
        if (known.name_length == length && memcmp(known.name, name, length) == 0) return slot;
    }
}

void prepare_variables(const char* bytes, std::size_t size) {
    std::uint32_t count = 0;
    for_each_record(bytes, size, [&count](const Record& record) {
        count += record.header.kind == Kind::variable ? 1 : 0;
        prepared.everything = prepared.everything || record.header.kind == Kind::everything;
    });
    prepared.slot_count = 16;
    while (prepared.slot_count < 2 * count) prepared.slot_count *= 2;
    prepared.variables = allocate<Variable>(count);
    prepared.slots = allocate<std::uint32_t>(prepared.slot_count);
    prepared.seen = allocate<unsigned char>(count);
    for_each_record(bytes, size, [](const Record& record) {
        if (record.header.kind != Kind::variable) return;
        Variable& variable = prepared.variables[prepared.variable_count];
        variable.name = record.text;
        std::uint32_t& slot = slot_of(hash_name(record.text, record.header.length, variable.name_length),
                                      record.text, variable.name_length);
        if (variable.name_length < record.header.length) {
            variable.value = record.text + variable.name_length + 1;
            variable.value_length = record.header.length - variable.name_length - 1;
        }
        slot = ++prepared.variable_count;
    });
}

const char* differs(const char* name, std::size_t length) {
    static char reason[wire::k_max_reply_text];
    snprintf(reason, sizeof reason, "the prelude reads %s%.*s, which differs from that of the first run",
             prepared.everything ? "the whole environment, and with it " : "",
             static_cast<int>(length < 256 ? length : 256), name);
    return reason;
}

/// Of the first of several entries of one name, as getenv(3) has it.
bool entry_fits(const char* entry, std::size_t length, std::uint32_t hash) {
    const std::uint32_t slot = slot_of(hash, entry, length);
    if (slot == 0) {
        return !prepared.everything || is_among(k_settled_variables, entry, length) ||
               is_among(k_passing_variables, entry, length);
    }
    unsigned char& seen = prepared.seen[slot - 1];
    if (seen != 0) return true;
    seen = 1;
    const Variable& variable = prepared.variables[slot - 1];
    const char* value = entry + length + 1;
    return variable.value != nullptr && strlen(value) == variable.value_length &&
           memcmp(value, variable.value, variable.value_length) == 0;
}

// --- files -----------------------------------------------------------------------

/// What changes on another machine, or in a layer below, is not told here (inotify(7), "Limitations").
bool is_blind_system(const char* path) {
    struct statfs system {};
    if (statfs(path, &system) != 0) return false;
    const auto type = static_cast<unsigned long>(system.f_type) & 0xffffffffUL;
    for (const unsigned long blind :
         {0UL + NFS_SUPER_MAGIC, 0UL + SMB_SUPER_MAGIC, 0UL + CIFS_SUPER_MAGIC, 0UL + SMB2_SUPER_MAGIC,
          0UL + FUSE_SUPER_MAGIC, 0UL + V9FS_MAGIC, 0UL + OVERLAYFS_SUPER_MAGIC}) {
        if (type == blind) return true;
    }
    return false;
}

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

/// All 0 if there is nothing.
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
    if (identity_of(watched.path) == watched.identity) return false;
    return watched.kind == Kind::file || directory_changed(watched);
}

void prepare_files(const char* bytes, std::size_t size) {
    std::size_t count = 0;
    for_each_record(bytes, size, [&count](const Record& record) {
        count += record.header.kind == Kind::file || record.header.kind == Kind::directory ? 1 : 0;
    });
    prepared.watched = allocate<Watched>(count);
    for_each_record(bytes, size, [](const Record& record) {
        if (record.header.kind != Kind::file && record.header.kind != Kind::directory) return;
        Watched& watched = prepared.watched[prepared.watched_count++];
        char* text = allocate<char>(record.header.length);
        memcpy(text, record.text, record.header.length);
        watched.kind = record.header.kind;
        watched.path = text;
        watched.blind = is_blind(text);
        prepared.some_blind = prepared.some_blind || watched.blind;
        watched.identity = record.header.identity;
        if (watched.kind == Kind::file) return;
        watched.asked = text + strlen(text) + 1;
        watched.found = watched.asked + strlen(watched.asked) + 1;
        // Only while it has them is its identity a short cut. Of nothing it is none: there may be something.
        const Identity now = identity_of(text);
        if (!directory_changed(watched)) watched.identity = now;
    });
}

// --- the memfd -------------------------------------------------------------------

/// -1 if it cannot be made.
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

}  // namespace

int make_trace() {
    note_variables(false);
    std::size_t noted_size = 0;
    const char* noted = noted_variables(noted_size);
    const Ref names = noted != nullptr
                          ? Ref(py.PyBytes_FromStringAndSize(noted, static_cast<Py_ssize_t>(noted_size)))
                          : Ref::borrow(py.none);
    records = call_bootstrap("trace_records", names.get());
    if (!records) give_up_with_exception("the trace");
    const char* bytes = py.PyBytes_AsString(records.get());
    const auto size = static_cast<std::size_t>(py.PyBytes_Size(records.get()));
    bool too_long = size > trace::k_max_trace;
    for_each_record(bytes, size, [&too_long](const Record& record) {
        too_long = too_long || record.header.length > trace::k_max_text;
    });
    if (too_long) give_up("the prelude reads more than can be watched");
    const int fd = write_memfd(bytes, size);
    if (fd < 0) give_up("cannot make shared memory for the trace");
    prepare_variables(bytes, size);
    prepare_files(bytes, size);
    return fd;
}

int make_module_records() {
    const Ref modules = call_bootstrap("modules_for_next");
    if (!modules) {
        py.PyErr_Clear();
        return -1;
    }
    return write_memfd(py.PyBytes_AsString(modules.get()),
                       static_cast<std::size_t>(py.PyBytes_Size(modules.get())));
}

void prepare_comparison() {
    memset(prepared.seen, 0, prepared.variable_count);
}

const char* compare_variables(const Received& received) {
    const char* entry = received.environment();
    for (std::uint32_t i = 0; i < received.request.envc; ++i, entry += strlen(entry) + 1) {
        std::size_t length = 0;
        const std::uint32_t hash = hash_name(entry, SIZE_MAX, length);
        if (entry[length] != '=') continue;
        if (!entry_fits(entry, length, hash)) return differs(entry, length);
    }
    for (std::uint32_t i = 0; i < prepared.variable_count; ++i) {
        const Variable& variable = prepared.variables[i];
        if (variable.value != nullptr && prepared.seen[i] == 0)
            return differs(variable.name, variable.name_length);
    }
    return nullptr;
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
