// An object of D-Bus for whoever connects: peers on a Unix socket of its own,
// and the user's bus.
//
// Only the user's own processes may connect; a peer that goes away takes
// nothing with it.
#pragma once

#include <systemd/sd-bus.h>

#include <cstdint>
#include <functional>
#include <list>
#include <string>

#include "common/bus.hpp"
#include "common/fd.hpp"
#include "common/loop.hpp"

namespace quicken::bus {

class Object {
 public:
    /// All pointers outlive it; `data` is what the vtable's functions get.
    struct What {
        const char* path;
        const char* interface;
        const sd_bus_vtable* vtable;
        void* data;
    };
    Object(Loop& loop, const What& what) : loop_(loop), what_(what) {}
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    /// Called before each message of a peer; set before listen().
    std::function<void()> before_message;

    /// Listens at that path, mode 0600, in the place of what is there. The path is the caller's to remove.
    /// Throws Error.
    void listen(const std::string& path);

    /// Takes the name on the user's bus, the first time that it is called; where there is no user's bus, the
    /// socket remains. `priority`: of its messages, sd_event_source_set_priority(3). Throws Error.
    void publish(const std::string& name, std::int64_t priority);

 private:
    struct Peer {
        Bus bus;
        Slot object;
        Slot filter;
        Slot disconnected;
    };

    void accept_peer();
    void serve(Peer peer, std::int64_t priority);
    static int filter(sd_bus_message* message, void* data, sd_bus_error* error);
    static int peer_gone(sd_bus_message* message, void* data, sd_bus_error* error);

    Loop& loop_;
    What what_;
    Fd listener_;
    Source acceptable_;
    std::list<Peer> peers_;
    bool published_ = false;
};

}  // namespace quicken::bus
