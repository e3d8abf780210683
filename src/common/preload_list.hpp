// The modules that a shared interpreter imports before it knows a script:
// those of `--preload`, or of preload.conf.
//
// That file: one name a line; '#' begins a comment. A name is a module's, or one of a toolkit's
// (src/interp/toolkits.py). Freestanding.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/text.hpp"

namespace quicken {

inline constexpr std::size_t k_max_preload_file = 16U << 10;  // bytes

/// $XDG_CONFIG_HOME/quicken/preload.conf, or ~/.config/quicken/preload.conf. False if neither variable has an
/// absolute path, or it does not fit.
bool preload_file(char** environment, TextBuffer& path);

/// The name in a line of that file, "" if there is none.
std::string_view preload_name(std::string_view line);

/// Appends the names of `text`, a file's content or with commas between them, each once, with a blank between
/// two. Returns nullptr, or why not.
const char* append_preloads(std::string_view text, char separator, TextBuffer& names);

/// The same of the file, of which there may be none.
const char* read_preloads(char** environment, TextBuffer& names);

}  // namespace quicken
