// A file descriptor that somebody owns. Move-only; closed by the destructor.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace quicken {

class Fd {
 public:
    Fd() noexcept = default;
    /// Takes ownership; a negative number is "none".
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset(other.release());
        }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Ownership leaves with the result.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    void reset(int fd = -1) noexcept {
        if (const int old = std::exchange(fd_, fd); old >= 0) {
            // Linux closes the descriptor whatever close(2) returns, EINTR included.
            ::close(old);
        }
    }

 private:
    int fd_ = -1;
};

/// The same file or socket with a number above those of the standard streams: where a program has closed
/// them, what it writes to them later is meant for nobody. None if there is no number left.
inline Fd above_streams(Fd fd) noexcept {
    if (!fd || fd.get() > STDERR_FILENO) return fd;
    return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

}  // namespace quicken
