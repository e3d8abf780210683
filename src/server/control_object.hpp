// org.quicken.Server1: the supervisor over D-Bus, on connections of its own
// socket DIR/ID.ctl (peer to peer, whoever started the server) and, where there
// is one, on the user's bus as org.quicken.Server1.iID.
#pragma once

#include <optional>
#include <string>

#include "common/bus_object.hpp"
#include "common/loop.hpp"
#include "supervisor.hpp"

namespace quicken::server {

class ControlObject {
 public:
    ControlObject(Loop& loop, Supervisor& supervisor, const char* activation);
    /// Removes the socket's path, as withdraw() does.
    ~ControlObject();
    ControlObject(const ControlObject&) = delete;
    ControlObject& operator=(const ControlObject&) = delete;

    /// Takes the name on the user's bus, once; without a user's bus it stays with the socket.
    void publish();

    /// Removes the socket's path, unless it is another server's by now; who is connected stays connected.
    void withdraw();

    Supervisor& supervisor() const { return supervisor_; }
    const char* activation() const { return activation_; }
    std::uint64_t since() const { return since_; }
    /// After the answer has been sent: the stop, which may end the server at once.
    void later(std::function<void()> action);

 private:
    Loop& loop_;
    Supervisor& supervisor_;
    const char* activation_;
    std::uint64_t since_;  // µs, CLOCK_REALTIME
    std::string path_;
    std::optional<FileId> bound_;  // what we made at `path_`, until it is removed
    bus::Object object_;
    Source later_;
};

}  // namespace quicken::server
