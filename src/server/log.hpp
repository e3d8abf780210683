// The server's log: one line an event, to stderr (the journal), or to the file
// of QUICKEN_LOG_FILE once the first request has named it.
#pragma once

#include <fmt/format.h>

#include <string>

#include "common/fd.hpp"

namespace quicken::server {

enum class Level { error = 3, warning = 4, info = 6 };

/// Lines go to `file` from now on.
void log_to(Fd file);

void write_log(Level level, const std::string& text);

template <typename... Arguments>
void log(Level level, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    write_log(level, fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace quicken::server
