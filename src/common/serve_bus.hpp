// The D-Bus names of a supervisor of `quicken serve` (src/serve), and where it listens for its peers:
// DIR/HASH.serve, with DIR as socket_directory() in target.hpp says.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

namespace quicken::serve_bus {

inline constexpr char k_object[] = "/org/quicken/Serve1";
inline constexpr char k_interface[] = "org.quicken.Serve1";
/// Its name on the user's bus is this and its hash.
inline constexpr char k_name_prefix[] = "org.quicken.Serve1.i";
inline constexpr char k_suffix[] = ".serve";
/// The error of Reload() where the new process does not serve.
inline constexpr char k_reload_failed[] = "org.quicken.Serve1.ReloadFailed";

/// By which a script, or the directory of --www, is known: absolute, without "." and "..", and without "/" at
/// the end. As it is if the working directory has been removed.
inline std::string absolute_name(const std::string& name) {
    std::error_code lost;
    const std::filesystem::path whole = std::filesystem::absolute(name, lost).lexically_normal();
    if (lost) return name;
    return whole.has_filename() || !whole.has_relative_path() ? whole : whole.parent_path();
}

}  // namespace quicken::serve_bus
