#include "inherited.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "common/sys.hpp"

namespace quicken::client {

namespace {

constexpr char k_directory[] = "/proc/self/fd";
constexpr std::size_t k_standard = 3;

std::uint32_t numbers[wire::k_max_extra];

/// An entry of getdents64(2).
struct Entry {
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t length;
    std::uint8_t type;
    char name[1];
};

/// The fd that an entry names; -1 for "." and "..".
int number_of(const char* name) {
    int number = 0;
    for (; *name != '\0'; ++name) {
        if (*name < '0' || *name > '9') return -1;
        number = number * 10 + (*name - '0');
    }
    return number;
}

bool is_inherited(int fd) {
    return fd > 2 && (sys::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
}

/// The directory lists fds in ascending order (fs/proc/fd.c).
const char* list(std::size_t& count) {
    const int directory = sys::open(k_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return "the open file descriptors cannot be listed";
    alignas(Entry) char buffer[4096];
    long got;
    while ((got = sys::getdents(directory, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < got;) {
            const char* raw = buffer + at;
            std::uint16_t length;
            std::memcpy(&length, raw + offsetof(Entry, length), sizeof length);
            at += length;
            const int fd = number_of(raw + offsetof(Entry, name));
            if (!is_inherited(fd)) continue;
            if (count == wire::k_max_extra) return "there are too many open file descriptors";
            numbers[count++] = static_cast<std::uint32_t>(fd);
        }
    }
    sys::close(directory);
    return got < 0 ? "the open file descriptors cannot be listed" : nullptr;
}

}  // namespace

bool none_is_inherited(std::size_t ours) {
    struct stat status;
    return sys::stat(k_directory, status) == 0 &&
           static_cast<std::size_t>(status.st_size) == k_standard + ours;
}

const char* list_inherited(std::span<std::uint32_t>& found) {
    std::size_t count = 0;
    if (const char* reason = list(count)) return reason;
    found = {numbers, count};
    return nullptr;
}

}  // namespace quicken::client
