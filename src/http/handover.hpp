// Connections between requests go from one process to its successor: over a
// SOCK_SEQPACKET socket, one packet each: the descriptor (SCM_RIGHTS), one byte
// that says nothing (an empty packet would look like the end), and what has
// been read of the next request.
#pragma once

#include <memory>
#include <string_view>

#include "common/fd.hpp"
#include "http/core.hpp"
#include "http/watch.hpp"

namespace quicken::http {

inline constexpr std::size_t k_most_handed_over = 64 << 10;  // bytes of the next request

/// The side that gives.
class Handover final : public Watch::Owner {
 public:
    Handover(Core& core, Fd socket);

    enum class Sent { yes, later, never };
    /// later: the receiver is behind; Core::offer_all() is called when it has caught up.
    Sent send(int connection, std::string_view read_already);
    void abandon() { socket_.reset(); }

 private:
    void on_readable() override {}
    void on_writable() override;

    Core& core_;
    Fd socket_;
    std::unique_ptr<Watch> watch_;
    std::shared_ptr<void> pause_;
};

/// The side that takes.
class Adoption final : public Watch::Owner {
 public:
    Adoption(Core& core, Fd socket);
    void abandon() { socket_.reset(); }

 private:
    void on_readable() override;
    void on_writable() override {}
    bool take();

    Core& core_;
    Fd socket_;
    std::unique_ptr<Watch> watch_;
};

}  // namespace quicken::http
