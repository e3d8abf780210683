// Which server a command line of quickenctl means, and what is known of it
// without waking it.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/directory.hpp"
#include "common/dropin.hpp"
#include "common/manager.hpp"
#include "common/target.hpp"

namespace quicken::ctl {

/// Exactly one of file, module, entry and instance is not empty, or it is the shared interpreter.
struct Choice {
    std::string file, module, entry, instance;
    bool shared = false;
    std::string python;  // may be empty
    std::vector<std::string> python_options;
    std::string fork_point;  // "start", or empty
};

/// The words of `quicken run` that say how it is run: --python INTERPRETER and so on.
std::vector<std::string> manner_of(const Choice& choice);

/// What is run, by which interpreter. `storage` has the texts.
Target resolve(wire::What what, const std::string& name, const Choice& choice, char** environment,
               Storage& storage);

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
