// The drop-ins by which the user manager and `quickenctl list` know what an
// instance is: RUNTIME/systemd/user/quicken@ID.{socket,service}.d/10-quicken.conf.
//
// They are written before the units are first loaded, so that no daemon-reload
// is needed. A name may hold any byte but NUL: in Description= what is not
// printable UTF-8 shows as \xNN; values of [X-Quicken] (which systemd ignores)
// are C-escaped and read back exactly.
#pragma once

#include <sys/types.h>

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

// For whoever writes such files for units of another kind.

/// The drop-in's text in a unit's directory NAME.d.
std::optional<std::string> content(const std::string& directory);
/// Makes it, and the directory if that is missing (but none above it). True if there was another text.
bool update(const std::string& directory, const std::string& text);
/// Removes it, and the directory unless somebody keeps more there.
void remove_directory(const std::string& directory);
void make_directory(const std::string& path, mode_t mode);

/// Printable ASCII as it is, everything else, quotes and "\\" as \xNN.
std::string c_escape(std::string_view text);
/// Of a key in the section [X-Quicken], as it was before c_escape().
std::string value_of(const std::string& text, std::string_view key);
/// systemd.unit(5), "Specifiers"
std::string double_percent(std::string_view text);
/// A word for ExecStart=, systemd.service(5), "Command lines", behind a program that begins with ":".
std::string quoted(const std::string& word);

/// `text` as a terminal or a Description= may show it: printable UTF-8 as it
/// is, everything else as \xNN.
std::string printable(std::string_view text);

}  // namespace quicken::dropin
