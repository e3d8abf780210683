#include "board.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "common/error.hpp"

namespace quicken::server {

Board::Board() : fd_(memfd_create("quicken-board", MFD_CLOEXEC)) {
    if (!fd_) throw_errno("make", "shared memory");
    if (ftruncate(fd_.get(), sizeof(control::Board)) != 0) throw_errno("size", "shared memory");
    void* memory = mmap(nullptr, sizeof(control::Board), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (memory == MAP_FAILED) throw_errno("map", "shared memory");
    memory_ = static_cast<control::Board*>(memory);
    for (std::uint32_t slot = control::k_slots; slot > 0; --slot) free_.push_back(slot - 1);
}

Board::~Board() {
    munmap(memory_, sizeof(control::Board));
}

std::optional<std::uint32_t> Board::take() {
    if (free_.empty()) return std::nullopt;
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    memory_->slots[slot].state.store(control::SlotState::idle);
    return slot;
}

void Board::release(std::uint32_t slot) {
    memory_->slots[slot].state.store(control::SlotState::free);
    free_.push_back(slot);
}

bool Board::retire(std::uint32_t slot) {
    auto expected = control::SlotState::idle;
    return memory_->slots[slot].state.compare_exchange_strong(expected, control::SlotState::retired) ||
           expected == control::SlotState::retired;
}

}  // namespace quicken::server
