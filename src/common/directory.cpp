#include "common/directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

#include "common/error.hpp"

namespace quicken {
namespace {

constexpr int k_directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

bool is_in_runtime_directory(const std::string& path) {
    return path.ends_with("/quicken");
}

std::string octal(mode_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", mode & 07777U);
    return text;
}

/// XDG Base Directory Specification: the runtime directory is the user's own.
void check_runtime_directory(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        throw_errno("use the runtime directory", path);
    }
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) {
        throw Error("the runtime directory " + path + " is not ours");
    }
    if ((status.st_mode & 022U) != 0) {
        throw Error("the runtime directory " + path + " has mode " + octal(status.st_mode) +
                    ": others may write to it");
    }
}

void check_directory(const std::string& path, int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        throw_errno("stat", path);
    }
    if (status.st_uid != ::geteuid()) {
        throw Error("the socket directory " + path + " belongs to user " + std::to_string(status.st_uid));
    }
    if ((status.st_mode & 0777U) != 0700U) {
        throw Error("the socket directory " + path + " has mode " + octal(status.st_mode) +
                    " and has to have 0700; remove it");
    }
}

Fd open_checked(const std::string& path) {
    Fd fd(::open(path.c_str(), k_directory_flags));
    if (fd) {
        check_directory(path, fd.get());
        return fd;
    }
    if (errno == ENOENT) {
        return fd;
    }
    if (errno == ENOTDIR || errno == ELOOP) {
        throw Error("the socket directory " + path + " is not a directory");
    }
    throw_errno("open the socket directory", path);
}

}  // namespace

Directory Directory::make(const std::string& path) {
    if (is_in_runtime_directory(path)) {
        check_runtime_directory(parent_of(path));
    }
    const mode_t before = ::umask(0077);
    const bool failed = ::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST;
    const int error = errno;
    ::umask(before);
    if (failed) {
        throw Error("make the socket directory", path, error);
    }
    Fd fd = open_checked(path);
    if (!fd) {
        throw Error("open the socket directory", path, ENOENT);
    }
    return Directory{path, std::move(fd)};
}

Directory Directory::open(const std::string& path) {
    return Directory{path, open_checked(path)};
}

std::string Directory::runtime_directory() const {
    return is_in_runtime_directory(path_) ? parent_of(path_) : std::string();
}

Fd Directory::lock(int operation, bus::Deadline deadline) const {
    Fd fd(::openat(fd_.get(), ".", k_directory_flags));
    if (!fd) {
        throw_errno("open", path_);
    }
    // Polled, as flock(2) has no time limit of its own.
    while (::flock(fd.get(), operation | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            throw_errno("lock", path_);
        }
        if (bus::Clock::now() >= deadline) {
            throw Error("lock", path_, ETIMEDOUT);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
    return fd;
}

bool is_listening(const std::string& path) {
    struct CloseFile {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };
    const std::unique_ptr<std::FILE, CloseFile> table(std::fopen("/proc/net/unix", "re"));
    if (!table) {
        throw_errno("open", "/proc/net/unix");
    }
    constexpr unsigned k_listens = 0x10000;  // __SO_ACCEPTCON, <linux/net.h>
    char line[512];
    while (std::fgets(line, sizeof line, table.get()) != nullptr) {
        unsigned flags = 0;
        int name_at = 0;
        if (std::sscanf(line, "%*s %*s %*s %x %*s %*s %*s %n", &flags, &name_at) < 1 || name_at == 0) {
            continue;
        }
        line[std::strcspn(line, "\n")] = '\0';
        if ((flags & k_listens) != 0 && path == line + name_at) {
            return true;
        }
    }
    return false;
}

}  // namespace quicken
