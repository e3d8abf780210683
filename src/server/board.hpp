// The shared page of control.hpp, as its owner sees it: which slots are free.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/control.hpp"
#include "common/fd.hpp"

namespace quicken::server {

class Board {
 public:
    Board();
    ~Board();
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;

    /// A slot in state idle, or nothing if all are in use.
    std::optional<std::uint32_t> take();
    /// Its process must have been reaped.
    void release(std::uint32_t slot);
    /// True if the slot's spare had not taken a connection; it never will then.
    bool retire(std::uint32_t slot);
    control::SlotState state(std::uint32_t slot) const { return memory_->slots[slot].state.load(); }
    void set_stale(bool stale) { memory_->stale.store(stale ? 1 : 0); }
    void set_doubt(bool doubt) { memory_->doubt.store(doubt ? 1 : 0); }
    void set_blind(bool blind) { memory_->blind.store(blind ? 1 : 0); }
    bool doubt() const { return memory_->doubt.load() != 0; }
    bool blind() const { return memory_->blind.load() != 0; }
    int fd() const { return fd_.get(); }

 private:
    Fd fd_;
    control::Board* memory_ = nullptr;
    std::vector<std::uint32_t> free_;
};

}  // namespace quicken::server
