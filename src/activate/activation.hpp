// What every way of activation is given, and how it says that it failed.
//
// A way that returns has a socket that listens. One that throws Error has left
// nothing behind that would stop the next way; one that throws Hopeless knows
// that no other way may be tried either: the program is run plainly.
#pragma once

#include <string>

#include "common/bus.hpp"
#include "common/directory.hpp"
#include "common/dropin.hpp"
#include "common/error.hpp"

namespace quicken {

struct Hopeless : Error {
    using Error::Error;
};

struct Activation {
    const Directory& directory;
    std::string id;  // of the instance: 32 hexadecimal digits
    dropin::Subject subject;
    std::string prefix;  // of the installation
    char** environment;
    bus::Deadline deadline;
};

/// Has the user manager start quicken@ID.socket, and the service with it.
void activate_by_systemd(const Activation& activation);

/// Binds the socket and starts a server that is nobody's child.
void activate_self(const Activation& activation);

}  // namespace quicken
