// The fds that the program inherits, on deposit: they wait in the queue of a
// socket of ours, and the request passes that socket, not the fds. Whoever
// receives from it has them. A server that hangs before it does so has none
// of the program's files: they are withdrawn when the client stops waiting, and
// the reader of a pipe sees its end when the plain run ends. In flight on the
// connection itself they could not be taken back.
//
// It is filled after the request has been sent: the server reads that, looks
// at the client and at its own files meanwhile, and waits for the fds if it has to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace quicken::client {

class Deposit {
 public:
    static constexpr std::size_t k_fds = 2;  // of its own

    /// False if it cannot be made.
    bool open();
    /// For the request to pass. Owned by the process until its exec or end.
    int socket() const { return theirs_; }

    /// Deposits those of fds 0, 1 and 2 that `streams` names (bit N for fd N) and `inherited`, but for those
    /// of the terminal: bits of `terminal`, marked numbers (wire.hpp). 0, or -errno: -EBADF if one of them is
    /// not open, and then nothing has been deposited.
    int fill(std::uint32_t streams, std::uint32_t terminal, std::span<const std::uint32_t> inherited) const;
    /// Takes back whatever has not been received.
    void withdraw() const;

 private:
    int ours_ = -1;
    int theirs_ = -1;
};

/// Which of fds 0, 1 and 2 are open: bit N for fd N.
std::uint32_t open_streams();

}  // namespace quicken::client
