// Where commands note what they import late (src/server/learned.hpp has the
// format): what the server and quickenctl must agree on.
#pragma once

#include <string>

namespace quicken {

inline constexpr char k_learning_header[] = "quicken-learn 1\n";

/// The file of an instance: $XDG_STATE_HOME/quicken/learn/INSTANCE, with ~/.local/state where that variable
/// is not an absolute path (XDG Base Directory Specification); "" where HOME is none either. Both may be
/// nullptr.
inline std::string learning_path(const char* state_home, const char* home, const std::string& instance) {
    std::string directory;
    if (state_home != nullptr && *state_home == '/') {
        directory = state_home;
    } else if (home != nullptr && *home == '/') {
        directory = std::string(home) + "/.local/state";
    } else {
        return {};
    }
    return directory + "/quicken/learn/" + instance;
}

}  // namespace quicken
