// The settings that `--set NAME=VALUE` knows, of `quicken serve` and of `quickenctl serve enable` alike:
// those of src/http/settings.hpp.
#pragma once

#include <string>

namespace quicken {

struct ServeSetting {
    std::string name;
    double value = 0;       // seconds, bytes or a number
    bool is_whole = false;  // it is no time, and so a whole number
};

/// Of "NAME=VALUE". Throws Error, whose text names the setting, if there is none such or the value does not
/// do.
ServeSetting parse_serve_setting(const std::string& text);

}  // namespace quicken
