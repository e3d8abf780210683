// D-Bus: owning types, the names both sides agree on, and connections that are
// ready, or an Error, by a deadline.
//
// Three kinds of connection: to a server's own socket DIR/ID.ctl (peer to
// peer), to the user manager's private socket (peer to peer too), and to the
// user's bus. sd-bus alone waits up to 90 s for a peer's authentication;
// everything here waits no longer than it is told.
// Connections do not survive fork(2) and are used by one thread.
#pragma once

#include <systemd/sd-bus.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "common/error.hpp"

namespace quicken::bus {

inline constexpr char k_object[] = "/org/quicken/Server1";
inline constexpr char k_interface[] = "org.quicken.Server1";
/// A server's name on the user's bus is this and its instance.
inline constexpr char k_name_prefix[] = "org.quicken.Server1.i";

struct Release {
    void operator()(sd_bus* bus) const noexcept { sd_bus_close_unref(bus); }
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
    void operator()(sd_bus_slot* slot) const noexcept { sd_bus_slot_unref(slot); }
};
using Bus = std::unique_ptr<sd_bus, Release>;
using Message = std::unique_ptr<sd_bus_message, Release>;
using Slot = std::unique_ptr<sd_bus_slot, Release>;

/// A callback of an object: no exception passes through sd-bus, it becomes the error of the call.
template <auto Function>
struct Guarded;
template <typename... Arguments, int (*Function)(Arguments...)>
struct Guarded<Function> {
    static int call(Arguments... arguments) noexcept {
        try {
            return Function(arguments...);
        } catch (const std::exception&) {
            return -EIO;
        }
    }
};

/// Owns the text of an sd_bus_error that a call fills in.
class ErrorReply {
 public:
    ErrorReply() noexcept = default;
    ErrorReply(const ErrorReply&) = delete;
    ErrorReply& operator=(const ErrorReply&) = delete;
    ~ErrorReply() { sd_bus_error_free(&error_); }
    sd_bus_error* get() noexcept { return &error_; }
    const sd_bus_error* get() const noexcept { return &error_; }

 private:
    sd_bus_error error_{nullptr, nullptr, 0};
};

/// A call that was answered with an error, or not at all.
class CallError : public Error {
 public:
    /// "ATTEMPT: message", or the text of -`result` where there is no message.
    CallError(std::string_view attempt, const sd_bus_error& error, int result);
    /// D-Bus name of the error; empty if there was no answer.
    const std::string& name() const noexcept { return name_; }

 private:
    std::string name_;
};

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

/// A limit for each single call on a connection made here.
inline constexpr std::chrono::seconds k_call_timeout{2};

/// Connects to the D-Bus peer at the Unix socket `path`.
Bus connect_peer(const std::string& path, Deadline deadline);

/// Connects to the bus (dbus-daemon, dbus-broker) at the Unix socket `path`.
Bus connect_bus(const std::string& path, Deadline deadline);

/// Handles one incoming message, or waits for one. Throws at the deadline and
/// when the peer has gone.
void process(sd_bus& bus, Deadline deadline, std::string_view what);

}  // namespace quicken::bus
