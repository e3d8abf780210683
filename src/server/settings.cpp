#include "settings.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "common/error.hpp"
#include "log.hpp"

namespace quicken::server {

namespace {

/// Seconds, or nothing if `text` is not a number >= 0.
std::optional<double> parse_seconds(const char* text) {
    double value = 0;
    const char* end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, value);
    if (error != std::errc{} || stopped != end || !std::isfinite(value) || value < 0) return std::nullopt;
    return std::min(value, k_max_seconds);
}

/// Empty, or why this cannot be the log. A pipe could block us, and every command with us.
std::string open_log(const char* path) {
    if (*path != '/') return "it is not an absolute path";
    Fd file(open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
    struct stat status {};
    if (!file && errno != ENXIO) return errno_text(errno);
    // ENXIO: a socket, or a FIFO that nobody reads (open(2)).
    if (!file || fstat(file.get(), &status) != 0 || !(S_ISREG(status.st_mode) || S_ISCHR(status.st_mode))) {
        return "it is neither a regular file nor a character device";
    }
    log_to(std::move(file));
    return {};
}

}  // namespace

double idle_timeout_of(const Program& program) {
    for (const char* name : {"QUICKEN_IDLE_TIMEOUT", "INSTA_TIMEOUT"}) {
        const char* text = program.variable(name);
        if (text == nullptr || *text == '\0') continue;
        if (const auto seconds = parse_seconds(text)) return *seconds;
        log(Level::warning, "{}={}: not a number of seconds", name, text);
    }
    return k_default_idle_timeout;
}

std::string open_log_of(const Program& program) {
    const char* path = program.variable("QUICKEN_LOG_FILE");
    if (path == nullptr || *path == '\0') return {};
    const std::string reason = open_log(path);
    return reason.empty() ? reason : fmt::format("QUICKEN_LOG_FILE={}: {}", path, reason);
}

}  // namespace quicken::server
