// A client's request as a spare receives it.
#pragma once

#include "common/validate.hpp"

namespace quicken::interp {

inline constexpr int k_max_passed = 3 + wire::k_max_extra;  // fds 0, 1, 2 and others

/// Owns its fds and its body until release_fds(); lives for the rest of the process once it is served.
struct Received {
    wire::Request request{};
    char* body = nullptr;    // request's body and one NUL
    std::uint32_t size = 0;  // of the body
    int deposit = -1;
    // From the deposit; what nearly every run needs is in one page.
    wire::Inherited inherited{};
    int fd_count = 0;
    int fds[k_max_passed];                     // in its order: the first fd_count are valid
    std::uint32_t numbers[wire::k_max_extra];  // of fds above 2, as the client has them

    const char* arguments() const { return body + wire::argv_offset(request); }
    char* environment() const { return body + wire::environ_offset(request); }
    /// Number that the client has the `index`th fd above 2 at.
    int extra_number(std::uint32_t index) const {
        return static_cast<int>(numbers[index] & ~wire::k_terminal_fd);
    }
    /// That fd is the client's controlling terminal, and not in the deposit.
    bool extra_is_terminal(std::uint32_t index) const { return (numbers[index] & wire::k_terminal_fd) != 0; }
    bool has_terminal() const { return (request.terminal & wire::k_has_terminal) != 0; }
    /// fds 0, 1 and 2 that are in the deposit.
    std::uint32_t deposited() const { return inherited.streams & ~request.terminal; }
};

/// Once, in a spare before it waits.
void prepare_to_receive();

/// Reads and checks one request. nullptr, or what is wrong with it; "" if the peer went away or was too slow.
/// Never blocks longer than k_request_timeout.
const char* receive_request(int connection, Received& received);

/// The same of a request that somebody else has read: `memory` holds it, `deposit` came with it; both are
/// `received`'s from now on.
const char* adopt_request(int memory, int deposit, Received& received);

/// A memfd for that; -1 if it cannot be made.
int share_request(const Received& received);

/// Receives the program's fds from the deposit, which is closed. nullptr, or what is wrong. Never blocks
/// longer than k_request_timeout.
const char* take_deposit(Received& received);

}  // namespace quicken::interp
