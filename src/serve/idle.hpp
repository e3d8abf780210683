// The end of a server that nobody has asked for long (--idle).
//
// No request is lost under socket activation. The script is asked first how long it has been idle, and then
// to stop: it stops accepting and only then looks whether anything is open. A connection that it had accepted
// by then is open, so it says "busy" and goes on; one that comes later stays in
// the backlog of the listening socket, which is systemd's as well as ours and outlives both of us. systemd
// polls it again once the service has ended, finds it readable, and starts the next one. Without socket
// activation the port is closed at our end: that is what is asked for.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "common/loop.hpp"

namespace quicken::serve {

class Idle {
 public:
    /// `tell` gives a message to the process that serves; false: there is none.
    Idle(Loop& loop, double seconds, std::function<bool(const nlohmann::json&)> tell);

    /// A process serves, or another one.
    void serving();
    /// activity, busy
    void said(const nlohmann::json& message);

 private:
    void ask_in(double seconds);

    Loop& loop_;
    double seconds_;
    std::function<bool(const nlohmann::json&)> tell_;
    Source next_;
};

}  // namespace quicken::serve
