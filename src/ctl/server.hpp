// A running server as seen over DIR/ID.ctl, its D-Bus socket.
//
// That socket is only there while the server is: to connect to it, unlike to
// DIR/ID.sock, never starts one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/bus.hpp"

namespace quicken::ctl {

/// The properties of org.quicken.Server1 (ARCHITECTURE.md).
struct Properties {
    std::string version, instance, what, name, directory, interpreter, interpreter_version, state, reason,
        stale, rung, activation;
    std::vector<std::string> interpreter_options;
    std::vector<std::uint32_t> commands;  // pids
    std::uint32_t pid = 0;
    std::uint32_t commands_running = 0;
    std::uint64_t since = 0;  // microseconds since 1970
    std::uint64_t commands_run = 0;
    std::uint64_t memory = 0;  // bytes
    double idle_timeout = 0;   // seconds
};

class Server {
 public:
    /// No server: std::nullopt. One that does not answer: throws.
    static std::optional<Server> connect(const std::string& control_path);

    /// std::nullopt: it has ended since it was connected to, as one that was idle does.
    std::optional<Properties> properties();
    /// An object in JSON; see quickenctl(1).
    std::string explain();
    void stop(bool now);
    void restart();

 private:
    Server(std::string path, bus::Bus bus) : path_(std::move(path)), bus_(std::move(bus)) {}
    template <typename... Values>
    bus::Message call(const char* interface, const char* method, const char* types, Values... values);

    std::string path_;
    bus::Bus bus_;
};

}  // namespace quicken::ctl
