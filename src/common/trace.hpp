// What a prelude has read: the template's trace, on which its being fresh and
// right for a client depends.
//
// With `ready`, and if it can with `unfit` and `unfit_modules`, the template
// passes one fd (SCM_RIGHTS): a sealed memfd (memfd_create(2)) that holds
// records end to end, each a Header and its text, without padding. The
// supervisor watches files and directories (inotify(7))
// and verifies them when something happens there. The records of what the
// prelude has read of its first client are the template's key: only clients
// for whom they say the same are served (key.hpp).
//
// Identities are taken *before* the content is read: a change in between is
// then seen as one, never missed.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>

namespace quicken::trace {

enum class Kind : std::uint32_t {
    file = 1,    // text: absolute path. All of identity 0: there was nothing when it was looked for
    directory,   // text: absolute path, NUL, names asked for, NUL, entries found; see below
    variable,    // text: NAME=VALUE, or NAME if it was not set
    everything,  // no text: the whole environment was read
    terminal,    // text: digits of the fds among 0 to 2 whose being a terminal was asked, each with y or n
    size,        // text: ROWSxCOLUMNS of the terminal's window, which was asked for
    cwd,         // text: the working directory, as getcwd(3) gives it
    name,        // text: sys.argv[0]
    module,   // text: a module that was imported in advance, or with `unfit` one that the next template may;
              // in order
    report,   // text: a JSON object for people: what else is known of the prelude (report.py)
    refused,  // text: a module that was to be imported in advance, NUL, why it cannot be, NUL, its file or ""
    entry  // text: absolute path of what was looked at itself, as lstat(2) does: a link's identity is its own
};

/// As stat(2) tells, links followed, of a regular file; see counted_identity(). With the time of status
/// change an edit that sets the modification time back is seen too.
struct Identity {
    std::uint64_t device;
    std::uint64_t inode;
    std::uint64_t size;
    std::int64_t modified_seconds, modified_nanoseconds;
    std::int64_t changed_seconds, changed_nanoseconds;
    friend constexpr bool operator==(const Identity&, const Identity&) = default;
};

/// Of what is neither a regular file nor a link only what it is counts, and who may use it: a directory's
/// times change with every entry.
inline Identity counted_identity(const struct stat& status) {
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) return {0, 0, status.st_mode, 0, 0, 0, 0};
    return {status.st_dev,         status.st_ino,          static_cast<std::uint64_t>(status.st_size),
            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
            status.st_ctim.tv_nsec};
}

/// Names of a directory record are separated by '/', which no name contains, and sorted bytewise. Asked for
/// are stems: an entry's name up to its first '.'; found are the entries with one of these stems. A single
/// '*' asks for all entries. Entries that are not asked for may come and go. A directory that is not there
/// has no entries.
struct Header {
    Kind kind;
    std::uint32_t length;  // bytes of text
    Identity identity;     // of a file or an entry; otherwise 0
};

/// Calls `use(header, text)` for each of records that are known to be complete; `text` has header.length
/// bytes.
template <typename Use>
void for_each_record(const char* bytes, std::size_t size, Use use) {
    for (std::size_t at = 0; at < size;) {
        Header header{};
        __builtin_memcpy(&header, bytes + at, sizeof header);
        const char* text = bytes + at + sizeof header;
        at += sizeof header + header.length;
        use(header, text);
    }
}

static_assert(sizeof(Identity) == 56 && sizeof(Header) == 64);

inline constexpr std::uint32_t k_max_text = 1U << 20;      // bytes
inline constexpr std::uint64_t k_max_trace = 64ULL << 20;  // bytes; a template with more is given up

}  // namespace quicken::trace
