#include "replies.hpp"

#include <cerrno>
#include <cstring>

#include "common/sys.hpp"
#include "descriptor.hpp"

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

void ReplyReader::keep(const Passed<k_max_fds>& passed) {
    const std::size_t count = (passed.length - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
        if (i < k_max_fds && fds_[i] < 0) {
            fds_[i] = lift(passed.fds[i]);
        } else {
            sys::close(passed.fds[i]);
        }
    }
}

int ReplyReader::receive() {
    // What is left is less than one reply, so there is always room.
    std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    iovec part{buffer_ + end_, sizeof buffer_ - end_};
    Passed<k_max_fds> passed;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &passed;
    message.msg_controllen = sizeof passed;
    const long length = sys::receive_message(fd_, message, MSG_CMSG_CLOEXEC);
    if (length == -EAGAIN || length == -EINTR) return 0;
    if (length <= 0) return -1;
    if (message.msg_controllen > CMSG_LEN(0)) keep(passed);
    end_ += static_cast<std::size_t>(length);
    return static_cast<int>(length);
}

}  // namespace quicken::client
