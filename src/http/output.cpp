// See output.hpp.
#include "http/output.hpp"

#include <array>
#include <utility>

namespace quicken::http {
namespace {

constexpr std::size_t k_parts = 16;           // iovecs of one write
constexpr std::size_t k_kept_head = 1 << 10;  // bytes of room that an idle connection keeps
/// Bytes that one flush sends before others get their turn.
constexpr std::size_t k_turn = 4 << 20;

std::string_view memory_of(const Piece& piece) {
    if (const auto* text = std::get_if<std::string>(&piece)) return *text;
    return *std::get<std::shared_ptr<const std::string>>(piece);
}

iovec part_of(std::string_view bytes) {
    return {const_cast<char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Output::add(Piece piece) {
    if (size_of(piece) > 0) pieces_.push_back(std::move(piece));
}

void Output::add(std::vector<Piece> pieces) {
    if (pieces_.empty()) {
        std::erase_if(pieces, [](const Piece& piece) { return size_of(piece) == 0; });
        pieces_ = std::move(pieces);
        return;
    }
    for (Piece& piece : pieces) add(std::move(piece));
}

Transfer Output::send_some(Transport& transport, char* block) {
    std::array<iovec, k_parts> parts;
    std::size_t count = 0;
    if (head_sent_ < head_.size()) parts[count++] = part_of(std::string_view(head_).substr(head_sent_));
    std::size_t next = first_;
    for (; next < pieces_.size() && count < k_parts; ++next) {
        const Piece& piece = pieces_[next];
        if (std::holds_alternative<FileSlice>(piece)) break;
        parts[count++] = part_of(memory_of(piece).substr(next == first_ ? offset_ : 0));
    }
    if (count > 0) return transport.write({parts.data(), count}, next < pieces_.size(), block);
    const auto& slice = std::get<FileSlice>(pieces_[first_]);
    return transport.send_file(slice.file->get(), slice.offset + offset_, slice.size - offset_, block);
}

void Output::sent(std::size_t size) {
    const std::size_t of_head = std::min(size, head_.size() - head_sent_);
    head_sent_ += of_head;
    size -= of_head;
    while (size > 0) {
        const std::uint64_t left = size_of(pieces_[first_]) - offset_;
        if (size < left) {
            offset_ += size;
            return;
        }
        size -= left;
        pieces_[first_] = std::string();
        ++first_;
        offset_ = 0;
    }
}

Io Output::flush(Transport& transport, char* block, bool& progress) {
    std::size_t total = 0;
    while (!empty()) {
        if (total > k_turn) return Io::write_first;
        const Transfer transfer = send_some(transport, block);
        if (transfer.io != Io::done) return transfer.io == Io::end ? Io::failed : transfer.io;
        progress = true;
        total += transfer.size;
        sent(transfer.size);
    }
    clear();
    return Io::done;
}

std::uint64_t Output::left() const {
    std::uint64_t total = head_.size() - head_sent_;
    for (std::size_t i = first_; i < pieces_.size(); ++i) total += size_of(pieces_[i]);
    return total - offset_;
}

void Output::clear() {
    head_.clear();
    if (head_.capacity() > k_kept_head) head_.shrink_to_fit();
    head_sent_ = 0;
    pieces_.clear();
    first_ = 0;
    offset_ = 0;
}

}  // namespace quicken::http
