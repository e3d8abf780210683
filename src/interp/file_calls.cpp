// The C library's functions that files.hpp notes, under all the names that
// programs are linked to: with and without 64 in them, those of fortified calls
// (__open_2), and those of a glibc before 2.33 (__xstat).
#undef _FORTIFY_SOURCE  // has inline functions of these names
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "files.hpp"

#define QUICKEN_EXPORT extern "C" __attribute__((visibility("default")))

namespace quicken::interp {

namespace {

constexpr const char* k_looks = "";  // what is only looked at may be anything's

template <typename Function>
Function* next(std::atomic<Function*>& known, const char* name) {
    Function* function = known.load(std::memory_order_relaxed);
    if (function != nullptr) return function;
    function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
    known.store(function, std::memory_order_relaxed);
    return function;
}

FileNote note_of(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0 ? FileNote::written
                                                                                 : FileNote::read;
}

FileNote note_of(const char* mode) {
    for (; *mode != '\0' && *mode != ','; ++mode)
        if (*mode == 'w' || *mode == 'a' || *mode == '+') return FileNote::written;
    return FileNote::read;
}

FileNote note_of_look(int flags) {
    return (flags & AT_SYMLINK_NOFOLLOW) != 0 ? FileNote::entry : FileNote::read;
}

}  // namespace

}  // namespace quicken::interp

using quicken::interp::FileNote;
using quicken::interp::is_noting_files;
using quicken::interp::k_looks;
using quicken::interp::next;
using quicken::interp::note_fd;
using quicken::interp::note_file;
using quicken::interp::note_of;
using quicken::interp::note_of_look;

/// `type name parameters` is the C library's, `note` what is done before it is called.
#define QUICKEN_CALL(type, name, parameters, arguments, throwing, note) \
    QUICKEN_EXPORT type name parameters throwing {                      \
        static std::atomic<type(*) parameters> known{nullptr};          \
        const auto function = next<type parameters>(known, #name);      \
        if (is_noting_files(__builtin_return_address(0))) note;         \
        return function arguments;                                      \
    }

// --- opened -------------------------------------------------------------------------

#define QUICKEN_OPEN(name)                                                                           \
    QUICKEN_EXPORT int name(const char* path, int flags, ...) {                                      \
        static std::atomic<int (*)(const char*, int, ...)> known{nullptr};                           \
        va_list arguments;                                                                           \
        va_start(arguments, flags);                                                                  \
        const mode_t mode = va_arg(arguments, mode_t);                                               \
        va_end(arguments);                                                                           \
        if (is_noting_files(__builtin_return_address(0))) note_file(note_of(flags), AT_FDCWD, path); \
        return next<int(const char*, int, ...)>(known, #name)(path, flags, mode);                    \
    }
#define QUICKEN_OPENAT(name)                                                                          \
    QUICKEN_EXPORT int name(int directory, const char* path, int flags, ...) {                        \
        static std::atomic<int (*)(int, const char*, int, ...)> known{nullptr};                       \
        va_list arguments;                                                                            \
        va_start(arguments, flags);                                                                   \
        const mode_t mode = va_arg(arguments, mode_t);                                                \
        va_end(arguments);                                                                            \
        if (is_noting_files(__builtin_return_address(0))) note_file(note_of(flags), directory, path); \
        return next<int(int, const char*, int, ...)>(known, #name)(directory, path, flags, mode);     \
    }
QUICKEN_OPEN(open)
QUICKEN_OPEN(open64)
QUICKEN_OPENAT(openat)
QUICKEN_OPENAT(openat64)

#define QUICKEN_OPEN_2(name)                                                \
    QUICKEN_CALL(int, name, (const char* path, int flags), (path, flags), , \
                 note_file(note_of(flags), AT_FDCWD, path))
#define QUICKEN_OPENAT_2(name)                                                                        \
    QUICKEN_CALL(int, name, (int directory, const char* path, int flags), (directory, path, flags), , \
                 note_file(note_of(flags), directory, path))
QUICKEN_OPEN_2(__open_2)
QUICKEN_OPEN_2(__open64_2)
QUICKEN_OPENAT_2(__openat_2)
QUICKEN_OPENAT_2(__openat64_2)

#define QUICKEN_CREAT(name)                                                  \
    QUICKEN_CALL(int, name, (const char* path, mode_t mode), (path, mode), , \
                 note_file(FileNote::written, AT_FDCWD, path))
QUICKEN_CREAT(creat)
QUICKEN_CREAT(creat64)

#define QUICKEN_FOPEN(name)                                                         \
    QUICKEN_CALL(FILE*, name, (const char* path, const char* mode), (path, mode), , \
                 note_file(note_of(mode), AT_FDCWD, path))
QUICKEN_FOPEN(fopen)
QUICKEN_FOPEN(fopen64)

#define QUICKEN_FREOPEN(name)                                                                         \
    QUICKEN_CALL(FILE*, name, (const char* path, const char* mode, FILE* file), (path, mode, file), , \
                 note_file(note_of(mode), AT_FDCWD, path))
QUICKEN_FREOPEN(freopen)
QUICKEN_FREOPEN(freopen64)

// --- looked at ----------------------------------------------------------------------

#define QUICKEN_STAT(name, type, kind)                                                         \
    QUICKEN_CALL(int, name, (const char* path, struct type* status), (path, status), noexcept, \
                 note_file(FileNote::kind, AT_FDCWD, path, k_looks))
QUICKEN_STAT(stat, stat, read)
QUICKEN_STAT(stat64, stat64, read)
QUICKEN_STAT(lstat, stat, entry)
QUICKEN_STAT(lstat64, stat64, entry)

#define QUICKEN_FSTATAT(name, type)                                                            \
    QUICKEN_CALL(int, name, (int directory, const char* path, struct type* status, int flags), \
                 (directory, path, status, flags), noexcept,                                   \
                 if (path[0] != '\0') note_file(note_of_look(flags), directory, path, k_looks))
QUICKEN_FSTATAT(fstatat, stat)
QUICKEN_FSTATAT(fstatat64, stat64)
QUICKEN_CALL(int, statx, (int directory, const char* path, int flags, unsigned mask, struct statx* status),
             (directory, path, flags, mask, status), noexcept,
             if (path[0] != '\0') note_file(note_of_look(flags), directory, path, k_looks))

#define QUICKEN_XSTAT(name, type, kind)                                                                      \
    QUICKEN_CALL(int, name, (int version, const char* path, struct type* status), (version, path, status), , \
                 note_file(FileNote::kind, AT_FDCWD, path, k_looks))
QUICKEN_XSTAT(__xstat, stat, read)
QUICKEN_XSTAT(__xstat64, stat64, read)
QUICKEN_XSTAT(__lxstat, stat, entry)
QUICKEN_XSTAT(__lxstat64, stat64, entry)

#define QUICKEN_FXSTATAT(name, type)                                                                        \
    QUICKEN_CALL(int, name, (int version, int directory, const char* path, struct type* status, int flags), \
                 (version, directory, path, status, flags), ,                                               \
                 if (path[0] != '\0') note_file(note_of_look(flags), directory, path, k_looks))
QUICKEN_FXSTATAT(__fxstatat, stat)
QUICKEN_FXSTATAT(__fxstatat64, stat64)

#define QUICKEN_ACCESS(name)                                                      \
    QUICKEN_CALL(int, name, (const char* path, int mode), (path, mode), noexcept, \
                 note_file(FileNote::read, AT_FDCWD, path, k_looks))
QUICKEN_ACCESS(access)
QUICKEN_ACCESS(eaccess)
QUICKEN_ACCESS(euidaccess)
QUICKEN_CALL(int, faccessat, (int directory, const char* path, int mode, int flags),
             (directory, path, mode, flags), noexcept,
             note_file(note_of_look(flags), directory, path, k_looks))

QUICKEN_CALL(ssize_t, readlink, (const char* path, char* text, size_t size), (path, text, size), noexcept,
             note_file(FileNote::entry, AT_FDCWD, path))
QUICKEN_CALL(ssize_t, readlinkat, (int directory, const char* path, char* text, size_t size),
             (directory, path, text, size), noexcept, note_file(FileNote::entry, directory, path))
QUICKEN_CALL(ssize_t, __readlink_chk, (const char* path, char* text, size_t size, size_t room),
             (path, text, size, room), , note_file(FileNote::entry, AT_FDCWD, path))
QUICKEN_CALL(ssize_t, __readlinkat_chk,
             (int directory, const char* path, char* text, size_t size, size_t room),
             (directory, path, text, size, room), , note_file(FileNote::entry, directory, path))

// --- changed ------------------------------------------------------------------------

#define QUICKEN_CHANGE(name, parameters, arguments)          \
    QUICKEN_CALL(int, name, parameters, arguments, noexcept, \
                 note_file(FileNote::changed, AT_FDCWD, path, #name))
#define QUICKEN_CHANGE_AT(name, parameters, arguments)       \
    QUICKEN_CALL(int, name, parameters, arguments, noexcept, \
                 note_file(FileNote::changed, directory, path, #name))
#define QUICKEN_CHANGE_FD(name, parameters, arguments) \
    QUICKEN_CALL(int, name, parameters, arguments, noexcept, note_fd(FileNote::changed, fd, #name))

QUICKEN_CHANGE(chmod, (const char* path, mode_t mode), (path, mode))
QUICKEN_CHANGE(lchmod, (const char* path, mode_t mode), (path, mode))
QUICKEN_CHANGE_FD(fchmod, (int fd, mode_t mode), (fd, mode))
QUICKEN_CHANGE_AT(fchmodat, (int directory, const char* path, mode_t mode, int flags),
                  (directory, path, mode, flags))
QUICKEN_CHANGE(chown, (const char* path, uid_t user, gid_t group), (path, user, group))
QUICKEN_CHANGE(lchown, (const char* path, uid_t user, gid_t group), (path, user, group))
QUICKEN_CHANGE_FD(fchown, (int fd, uid_t user, gid_t group), (fd, user, group))
QUICKEN_CHANGE_AT(fchownat, (int directory, const char* path, uid_t user, gid_t group, int flags),
                  (directory, path, user, group, flags))
QUICKEN_CHANGE(utime, (const char* path, const struct utimbuf* times), (path, times))
QUICKEN_CHANGE(utimes, (const char* path, const struct timeval* times), (path, times))
QUICKEN_CHANGE(lutimes, (const char* path, const struct timeval* times), (path, times))
QUICKEN_CHANGE_FD(futimes, (int fd, const struct timeval* times), (fd, times))
QUICKEN_CHANGE_FD(futimens, (int fd, const struct timespec* times), (fd, times))
QUICKEN_CALL(int, utimensat, (int directory, const char* path, const struct timespec* times, int flags),
             (directory, path, times, flags), noexcept,
             note_file(FileNote::changed, directory, path, "utimensat"))
QUICKEN_CHANGE(mkfifo, (const char* path, mode_t mode), (path, mode))
QUICKEN_CHANGE_AT(mkfifoat, (int directory, const char* path, mode_t mode), (directory, path, mode))
QUICKEN_CHANGE(mknod, (const char* path, mode_t mode, dev_t device), (path, mode, device))
QUICKEN_CHANGE_AT(mknodat, (int directory, const char* path, mode_t mode, dev_t device),
                  (directory, path, mode, device))

#define QUICKEN_SETXATTR_PARAMETERS(first) \
    (first, const char* name, const void* value, size_t size, int flags)
QUICKEN_CHANGE(setxattr, QUICKEN_SETXATTR_PARAMETERS(const char* path), (path, name, value, size, flags))
QUICKEN_CHANGE(lsetxattr, QUICKEN_SETXATTR_PARAMETERS(const char* path), (path, name, value, size, flags))
QUICKEN_CHANGE_FD(fsetxattr, QUICKEN_SETXATTR_PARAMETERS(int fd), (fd, name, value, size, flags))
QUICKEN_CHANGE(removexattr, (const char* path, const char* name), (path, name))
QUICKEN_CHANGE(lremovexattr, (const char* path, const char* name), (path, name))
QUICKEN_CHANGE_FD(fremovexattr, (int fd, const char* name), (fd, name))
