// A client's connection in the supervisor's hands: one that it accepted
// itself, while no template is ready, or that a spare did not fit. Reads the
// request without ever blocking, then holds the client until there is
// something to tell it or a spare to pass it to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "common/loop.hpp"
#include "common/wire.hpp"
#include "program.hpp"

namespace quicken::server {

/// Sends one reply. False if the client is gone. Never blocks: to a client that does not read it is lost.
bool send_reply(int connection, wire::ReplyKind kind, int value, int pid, std::string_view text);

class Connection {
 public:
    /// `done` is called with true once the request is complete, and with false when the client has gone, was
    /// too slow or was refused: nothing is called after that.
    using Done = std::function<void(Connection&, bool)>;

    Connection(Loop& loop, Fd socket, Done done);
    /// Of a client whose request a spare has read, and passes on unless it has served its end.
    Connection(Loop& loop, Fd socket, std::shared_ptr<const Program> program, Fd deposit, Done done);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool reply(wire::ReplyKind kind, int value, std::string_view text) const;
    /// The request has been read: the client waits for a reply.
    bool complete() const { return complete_; }
    /// nullptr as long as it is not known here.
    const std::shared_ptr<const Program>& program() const { return program_; }
    int socket() const { return socket_.get(); }
    int deposit() const { return deposit_.get(); }

 private:
    void read();
    /// True if there is nothing more to do now; then this object may be gone.
    bool read_some();
    void finish(bool complete);
    void refuse(std::string_view reason);

    Fd socket_;
    Done done_;
    std::string data_;
    std::vector<Fd> fds_;
    std::shared_ptr<const Program> program_;
    Fd deposit_;
    bool complete_ = false;
    Source readable_;
    Source deadline_;
};

}  // namespace quicken::server
