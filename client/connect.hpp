// The connection to the server of an instance.
#pragma once

#include "common/wire.hpp"
#include "process.hpp"

namespace quicken::client {

struct Connection {
    enum class Kind {
        ready,   // `fd` is a non-blocking connection to a server of our own user
        nobody,  // no server listens: it is to be activated
        unfit,   // only a plain run is right; `reason` says why
    };
    Kind kind;
    int fd;
    const char* reason;
};

Connection connect_to(const wire::Instance& instance, const Process& process);

}  // namespace quicken::client
