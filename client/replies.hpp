// The replies of a server, one after the other as they were sent.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/wire.hpp"

namespace quicken::client {

class ReplyReader {
 public:
    enum class Next { reply, incomplete, malformed };

    /// Borrows a non-blocking connection; a new one starts afresh.
    void start(int fd) {
        fd_ = fd;
        begin_ = end_ = 0;
    }

    int fd() const { return fd_; }

    /// Takes the next reply that has been received in full; its text is valid
    /// until the next call of receive().
    Next next(wire::Reply& reply, std::string_view& text);

    /// Bytes received; 0 if nothing is there yet; -1 if nothing will come.
    int receive();

 private:
    int fd_ = -1;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    char buffer_[sizeof(wire::Reply) + wire::k_max_reply_text];
};

}  // namespace quicken::client
