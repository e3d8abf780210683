#include "http/open_file.hpp"

#include <fcntl.h>
#include <time.h>

#include <cerrno>

namespace quicken::http {

namespace {

constexpr std::int64_t k_second = 1'000'000'000;
constexpr std::int64_t k_tick = 50'000'000;  // nanoseconds: longer than any kernel's

std::int64_t nanoseconds(const timespec& time) {
    return time.tv_sec * k_second + time.tv_nsec;
}

FileKind kind_of_failure() {
    return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? FileKind::busy : FileKind::none;
}

}  // namespace

FileIdentity::FileIdentity(const struct stat& status)
    : device(status.st_dev),
      inode(status.st_ino),
      size(static_cast<std::uint64_t>(status.st_size)),
      modified_ns(nanoseconds(status.st_mtim)),
      status_changed_ns(nanoseconds(status.st_ctim)) {}

bool FileIdentity::is_recent() const {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return status_changed_ns > nanoseconds(now) - k_tick;
}

FileKind kind_of(const std::string& file) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0) return kind_of_failure();
    if (S_ISDIR(status.st_mode)) return FileKind::directory;
    return S_ISREG(status.st_mode) ? FileKind::regular : FileKind::none;
}

OpenFile open_file(const std::string& file) {
    const FileKind kind = kind_of(file);
    if (kind != FileKind::regular) return {kind, nullptr, {}};
    // Should a FIFO have taken its place, O_NONBLOCK keeps this from waiting for its writer.
    Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return {kind_of_failure(), nullptr, {}};
    struct stat status {};
    if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
    return {FileKind::regular, std::make_shared<const Fd>(std::move(fd)), FileIdentity(status)};
}

std::shared_ptr<std::string> read_file(const Fd& fd, std::uint64_t size) {
    auto content = std::make_shared<std::string>();
    content->resize(size);
    std::size_t got = 0;
    while (got < size) {
        const ssize_t count = pread(fd.get(), content->data() + got, size - got, static_cast<off_t>(got));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return nullptr;
        if (count == 0) break;
        got += static_cast<std::size_t>(count);
    }
    content->resize(got);
    return content;
}

}  // namespace quicken::http
