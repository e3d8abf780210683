// See body.hpp.
#include "http/body.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace quicken::http {
namespace {

std::string temporary_directory() {
    const char* set = ::getenv("TMPDIR");
    return set != nullptr && *set == '/' ? set : "/tmp";
}

/// A file that is gone with its descriptor.
Fd nameless_file() {
    const std::string directory = temporary_directory();
    Fd file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (file || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
    // Not every file system has O_TMPFILE (open(2)).
    std::string name = directory + "/quicken-body.XXXXXX";
    file.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (file) ::unlink(name.c_str());
    return file;
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t size = ::write(fd, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
}

}  // namespace

bool BodyCollector::spool() {
    body_.file = above_streams(nameless_file());
    if (!body_.file || !write_all(body_.file.get(), body_.bytes)) return false;
    body_.bytes = std::string();
    return true;
}

bool BodyCollector::add(std::string_view bytes) {
    body_.size += bytes.size();
    if (!body_.file && body_.size > spool_size_ && !spool()) return false;
    if (body_.file) return write_all(body_.file.get(), bytes);
    body_.bytes += bytes;
    return true;
}

std::optional<Body> BodyCollector::finish() {
    if (body_.file && ::lseek(body_.file.get(), 0, SEEK_SET) != 0) return std::nullopt;
    return std::move(body_);
}

}  // namespace quicken::http
