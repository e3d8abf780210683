// The fds that the program inherits, on deposit: they wait in the queue of a
// socket of ours, and the request passes that socket, not the fds. Whoever
// receives from it has them. A server that hangs before it does so has none
// of the program's files: they are withdrawn when the client stops waiting, and
// the reader of a pipe sees its end when the plain run ends. In flight on the
// connection itself they could not be taken back.
#pragma once

#include <cstdint>
#include <span>

namespace quicken::client {

class Deposit {
 public:
    /// Deposits those of fds 0, 1 and 2 that are open, and `inherited`, but for those of the terminal: bits
    /// of `terminal`, marked numbers (wire.hpp). Returns nullptr, or why only a plain run is right.
    const char* make(std::uint32_t terminal, std::span<const std::uint32_t> inherited);

    /// Which of fds 0, 1 and 2 were open: bit N for fd N.
    std::uint32_t streams() const { return streams_; }
    /// For the request to pass. Owned by the process until its exec or end.
    int socket() const { return theirs_; }

    /// Takes back whatever has not been received.
    void withdraw() const;

 private:
    std::uint32_t streams_ = 7;
    int ours_ = -1;
    int theirs_ = -1;
};

}  // namespace quicken::client
