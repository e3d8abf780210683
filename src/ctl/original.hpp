// The scripts that launchers stand for: found by name, and looked at.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace quicken::ctl {

/// Directories of PATH, in its order; an empty one is ".".
std::vector<std::string> path_directories();

/// The first file on PATH that is called so, is no directory and may be executed; empty if there is none.
std::string find_on_path(const std::string& name);

/// What `quickenctl wrap NAME` is to wrap: a path if it has a "/", otherwise a program on PATH. Launchers on
/// PATH are passed over: they may stand before their own original. Absolute, links not followed. Throws if
/// there is none that can be wrapped.
std::string find_original(const std::string& name);

/// Throws why a launcher cannot stand for this file, unless it is an executable Python script.
void check_original(const std::string& path);

/// What the launchers of `path` would say: empty if it is a Python script, as when it was wrapped.
std::string fault_of_original(const std::string& path);

/// The original of the launcher at `path`; none if something else is there. Links are followed.
std::optional<std::string> launched_by(const std::string& path);

/// Absolute, without "." and empty components.
std::string absolute_path(const std::string& path);

}  // namespace quicken::ctl
