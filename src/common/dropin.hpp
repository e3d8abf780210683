// The drop-ins by which the user manager and `quickenctl list` know what an
// instance is: RUNTIME/systemd/user/quicken@ID.{socket,service}.d/10-quicken.conf.
//
// They are written before the units are first loaded, so that no daemon-reload
// is needed. A name may hold any byte but NUL: in Description= what is not
// printable UTF-8 shows as \xNN; values of [X-Quicken] (which systemd ignores)
// are C-escaped and read back exactly.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quicken::dropin {

struct Subject {
    std::string what;  // file, module, entry
    std::string name;
    std::string directory;
    std::string interpreter;
};

std::string socket_unit(std::string_view id);
std::string service_unit(std::string_view id);
/// RUNTIME/systemd/user
std::string unit_directory(const std::string& runtime_directory);

/// Writes both drop-ins; `server` is the absolute path of the program that the
/// service is to run. True if an existing one had other content.
bool write(const std::string& runtime_directory, std::string_view id, const Subject& subject,
           const std::string& server);
std::optional<Subject> read(const std::string& runtime_directory, std::string_view id);
void remove(const std::string& runtime_directory, std::string_view id);

/// `text` as a terminal or a Description= may show it: printable UTF-8 as it
/// is, everything else as \xNN.
std::string printable(std::string_view text);

}  // namespace quicken::dropin
