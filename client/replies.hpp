// The replies of a server, one after the other as they were sent.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/wire.hpp"
#include "passed.hpp"

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

    /// The fds that came with the replies, in their order; -1 if there was none. The caller's from then on.
    int fd(std::size_t index) const { return fds_[index]; }

    /// Bytes received; 0 if nothing is there yet; -1 if nothing will come.
    int receive();

 private:
    static constexpr std::size_t k_max_fds = 2;
    void keep(const Passed<k_max_fds>& passed);

    int fd_ = -1;
    int fds_[k_max_fds] = {-1, -1};
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    char buffer_[sizeof(wire::Reply) + wire::k_max_reply_text];
};

}  // namespace quicken::client
