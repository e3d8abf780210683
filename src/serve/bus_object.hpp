// org.quicken.Serve1: the supervisor over D-Bus, peer to peer on a socket of its own (DIR/HASH.serve) and,
// where there is one, on the user's bus as org.quicken.Serve1.iHASH.
//
// The hash is of what is served: script or directory, and arguments. Where another supervisor has the same, a
// number makes the difference: names are looked for under the directory's lock, and one
// whose socket nobody listens on is free.
//
// Without a runtime directory, or a bus, the script is served all the same.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/bus_object.hpp"
#include "common/loop.hpp"
#include "serve/options.hpp"
#include "serve/supervisor.hpp"

namespace quicken::serve {

class BusObject {
 public:
    /// Throws Error where the socket cannot be had.
    BusObject(Loop& loop, Supervisor& supervisor, const Options& options);
    /// Removes the socket's path.
    ~BusObject();
    BusObject(const BusObject&) = delete;
    BusObject& operator=(const BusObject&) = delete;

    /// Takes the name on the user's bus, once.
    void publish();

    Supervisor& supervisor() const { return supervisor_; }
    /// All that there is to know, as JSON.
    std::string status() const;
    /// Once the answer has been sent.
    void later(std::function<void()> action);

 private:
    void listen();

    Loop& loop_;
    Supervisor& supervisor_;
    const Options& options_;
    std::string hash_;
    std::string path_;
    bus::Object object_;
    std::vector<std::function<void()>> actions_;
    Source later_;
};

}  // namespace quicken::serve
