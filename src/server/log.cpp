#include "log.hpp"

#include <fmt/chrono.h>
#include <unistd.h>

#include <chrono>
#include <ctime>

namespace quicken::server {

namespace {

Fd file;

const char* name(Level level) {
    if (level == Level::error) return "error";
    return level == Level::warning ? "warning" : "info";
}

}  // namespace

void log_to(Fd opened) {
    file = std::move(opened);
}

void write_log(Level level, const std::string& text) {
    const std::string line =
        file ? fmt::format("{:%Y-%m-%dT%H:%M:%S} quicken-server[{}] {}: {}\n",
                           fmt::localtime(std::time(nullptr)), getpid(), name(level), text)
             : fmt::format("<{}>{}\n", static_cast<int>(level), text);  // sd-daemon(3)
    // A log that cannot be written has nowhere to be complained about.
    [[maybe_unused]] const ssize_t written =
        write(file ? file.get() : STDERR_FILENO, line.data(), line.size());
}

}  // namespace quicken::server
