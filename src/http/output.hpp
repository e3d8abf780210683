// Bytes that a connection has yet to send, in their order.
#pragma once

#include <string>
#include <vector>

#include "http/message.hpp"
#include "http/transport.hpp"

namespace quicken::http {

class Output {
 public:
    /// What is sent before all pieces; to be filled while empty(). Keeps its room for the next answer.
    std::string& head() { return head_; }
    void add(Piece piece);
    void add(std::vector<Piece> pieces);
    bool empty() const { return head_sent_ == head_.size() && first_ == pieces_.size(); }

    /// Sends what the kernel takes; done if that was all. `progress`: whether it took any.
    Io flush(Transport& transport, char* block, bool& progress);
    /// Bytes still to be sent.
    std::uint64_t left() const;
    void clear();

 private:
    Transfer send_some(Transport& transport, char* block);
    void sent(std::size_t size);

    std::string head_;
    std::size_t head_sent_ = 0;
    std::vector<Piece> pieces_;
    std::size_t first_ = 0;     // piece that is being sent
    std::uint64_t offset_ = 0;  // bytes of it that are
};

}  // namespace quicken::http
