// Launchers in a directory: made, found, removed, and nothing else there touched.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace quicken::ctl {

/// The original of the launcher at `path`; none if there is nothing or something else, a link among that.
std::optional<std::string> launcher_at(const std::string& path);

/// Makes a launcher, with the directory where that is missing. False if this one was there. One of the
/// same original that another installation of quicken has made is replaced. Throws, also if anything else is
/// there.
bool write_launcher(const std::string& path, const std::string& original);

/// Removes a launcher. Throws, also if something else is there.
void remove_launcher(const std::string& path);

/// Paths of all launchers in a directory, sorted; none if there is no such directory.
std::vector<std::string> launchers_in(const std::string& directory);

/// Names in a directory, sorted.
std::vector<std::string> names_in(const std::string& directory);

}  // namespace quicken::ctl
