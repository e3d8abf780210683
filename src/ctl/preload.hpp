// `quickenctl preload`: what shared interpreters import first.
#pragma once

#include <string>
#include <vector>

namespace quicken::ctl {

struct PreloadOptions {
    std::string action;  // add, remove or list
    std::vector<std::string> names;
    std::string python;  // the interpreter that must find what is added; empty: that of `quicken python`
    bool json = false;
};

/// Changes preload.conf, all of it or nothing, or prints its names. Comments and order stay.
int preload(const PreloadOptions& options);

}  // namespace quicken::ctl
