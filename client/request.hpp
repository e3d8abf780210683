// The request of a run, as wire.hpp says.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/wire.hpp"
#include "deposit.hpp"
#include "process.hpp"
#include "terminal.hpp"

namespace quicken::client {

/// Refers to the run's texts: they and the strings that the kernel put on the
/// stack are sent from where they are.
struct Outgoing {
    static constexpr std::size_t k_parts = 8;
    wire::Request request;
    iovec parts[k_parts];
    Terminal terminal;
    Deposit deposit;
    bool deposited = false;
    std::span<std::uint32_t> inherited;  // fds above 2; those of the terminal are marked (wire.hpp)
};

/// Returns nullptr, or why only a plain run is right.
const char* prepare(const Run& run, const wire::Instance& instance, Outgoing& out);

/// Sends all of it on a connection. Returns nullptr, or why only a plain run
/// is right. A server that has closed the connection is no failure: it may
/// have left a reply, so the reader of replies is to judge.
const char* send(const Run& run, int fd, Outgoing& out);

/// Once the request is on its way, the program's fds. Returns nullptr, or why only a plain run is right.
const char* fill_deposit(Run& run, Outgoing& out);

}  // namespace quicken::client
