// `quickenctl serve`: the supervisors of `quicken serve`, and the units by which
// systemd starts them.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace quicken::ctl {

struct ServeOptions {
    std::string action;  // enable, disable, status, stop, reload, list
    std::string script;  // its path, the name of its units, or the first digits of its id; may be empty
    // Of enable:
    std::vector<int> ports;
    std::vector<std::string> addresses;  // HOST:PORT
    std::vector<std::string> paths;      // of Unix sockets
    std::string name;                    // of the units; empty: made of the script's
    std::string python;
    std::vector<std::string> python_options;
    std::vector<std::string> settings;
    double idle = 300;  // seconds; 0: never
    std::vector<std::string> arguments;
    bool json = false;
};

/// Does what the action says; its exit status. Throws Error with the text for the user.
int serve(const ServeOptions& options);

/// A script that units have been made for.
struct ServeUnit {
    std::string name;
    std::string script;
    std::vector<std::string> listens;  // as ListenStream= has it
};
std::vector<ServeUnit> serve_units();
/// Those that are meant: the one with that name, or all of that script.
std::vector<ServeUnit> find_serve_units(const std::string& script);
/// The one that is meant, if there is. Throws Error if there are more.
std::optional<ServeUnit> find_serve_unit(const std::string& script);
/// Whether its socket is open; without a service manager none is.
bool listens(const ServeUnit& unit);
int enable_serve(const ServeOptions& options);
int disable_serve(const std::string& script);
/// False if there is no such unit that is active.
bool stop_serve_unit(const ServeUnit& unit);

}  // namespace quicken::ctl
