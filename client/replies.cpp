#include "replies.hpp"

#include <cerrno>
#include <cstring>

#include "common/sys.hpp"

namespace quicken::client {

ReplyReader::Next ReplyReader::next(wire::Reply& reply, std::string_view& text) {
    const std::size_t available = end_ - begin_;
    if (available < sizeof reply) return Next::incomplete;
    std::memcpy(&reply, buffer_ + begin_, sizeof reply);
    if (reply.length > wire::k_max_reply_text) return Next::malformed;
    if (available - sizeof reply < reply.length) return Next::incomplete;
    text = {buffer_ + begin_ + sizeof reply, reply.length};
    begin_ += sizeof reply + reply.length;
    return Next::reply;
}

int ReplyReader::receive() {
    // What is left is less than one reply, so there is always room.
    std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    const long length = sys::read(fd_, buffer_ + end_, sizeof buffer_ - end_);
    if (length == -EAGAIN || length == -EINTR) return 0;
    if (length <= 0) return -1;
    end_ += static_cast<std::size_t>(length);
    return static_cast<int>(length);
}

}  // namespace quicken::client
