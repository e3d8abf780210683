// Which server a command line of quickenctl means, and what is known of it
// without waking it.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "common/directory.hpp"
#include "common/dropin.hpp"
#include "common/manager.hpp"

namespace quicken::ctl {

/// Exactly one of file, module, entry and instance is not empty, or it is the shared interpreter.
struct Choice {
    std::string file, module, entry, instance;
    bool shared = false;
    std::string python;  // may be empty
};

/// The directory of the sockets and, where there is one, its user manager.
struct Place {
    Directory directory;
    std::unique_ptr<Manager> manager;

    static Place find(char** environment);
    /// Ids of all instances that left a socket or a unit.
    std::set<std::string> instances() const;
};

struct Selection {
    std::string id;
    std::string text;   // for messages: the script, "-m MODULE", ...
    std::string plain;  // not empty: no server can serve it, and this is why
};

/// Throws where what is named does not exist.
Selection select(const Choice& choice, const Place& place, char** environment);

/// "/path/x.py", "-m json.tool in /home/u", "--entry a:b".
std::string describe(const dropin::Subject& subject);

}  // namespace quicken::ctl
