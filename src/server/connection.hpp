// A client's connection in the supervisor's hands: one that it accepted
// itself, while no template is ready. Reads the request without ever
// blocking, then holds the client until there is something to tell it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "common/wire.hpp"
#include "loop.hpp"
#include "program.hpp"

namespace quicken::server {

/// Sends one reply. False if the client is gone. Never blocks: to a client that does not read it is lost.
bool send_reply(int connection, wire::ReplyKind kind, int value, int pid, std::string_view text);

class Connection {
 public:
    /// `done` is called once: with the request, or without one if the peer went, was too slow or was refused.
    using Done = std::function<void(Connection&, std::optional<Program>)>;

    Connection(Loop& loop, Fd socket, Done done);
    /// Of a client whose request a spare has read: `done` says only that it has gone.
    struct AlreadyRead {};
    Connection(Loop& loop, Fd socket, AlreadyRead, Done done);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool reply(wire::ReplyKind kind, int value, std::string_view text) const;
    /// The request has been read: the client waits for a reply.
    bool complete() const { return complete_; }

 private:
    void read();
    /// True if there is nothing more to do now; then this object may be gone.
    bool read_some();
    void finish(std::optional<Program> program);
    void refuse(std::string_view reason);

    Fd socket_;
    Done done_;
    std::string data_;
    std::vector<Fd> fds_;
    bool complete_ = false;
    Source readable_;
    Source deadline_;
};

}  // namespace quicken::server
