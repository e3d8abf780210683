// What `quickenctl serve enable` writes: options checked, and made into the drop-ins of a
// script's units.
#pragma once

#include <string>
#include <vector>

#include "ctl/serve.hpp"

namespace quicken::ctl {

/// The texts of both drop-ins.
struct Dropins {
    std::string socket;
    std::string service;
};

/// Throws Error for what would only be found at the first request: nobody sees then why it fails.
void check(const ServeOptions& options);

/// Of the units: the one asked for, or the script's without its suffix. Throws Error if neither does.
std::string name_of(const ServeOptions& options);

/// As ListenStream= has them. Throws Error for what is none.
std::vector<std::string> listens_of(const ServeOptions& options);

/// Throws Error for what a unit cannot have.
Dropins make_dropins(const ServeOptions& options);

/// Where this program is installed: PREFIX of PREFIX/bin/quickenctl.
std::string own_prefix();

}  // namespace quicken::ctl
