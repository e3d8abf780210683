#include "request.hpp"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/validate.hpp"

namespace quicken::interp {

namespace {

/// Most requests fit: the environment of a login is about 4 KB.
constexpr std::size_t k_first_read = 64U << 10;
/// From malloc: the kernel shows arguments and environment (/proc/PID/environ) from anonymous memory only.
char* first_buffer = nullptr;

double now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void keep_fds(msghdr& header, Received& received) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            if (received.fd_count < k_max_passed) {
                received.fds[received.fd_count++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

/// One recvmsg. Bytes, 0 at the end, or -1.
ssize_t receive_part(int connection, void* data, std::size_t size, Received& received, int flags = 0) {
    iovec part{data, size};
    alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int) * wire::k_fds_per_message)];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary;
    header.msg_controllen = sizeof ancillary;
    ssize_t got = 0;
    do {
        got = recvmsg(connection, &header, MSG_CMSG_CLOEXEC | flags);
    } while (got < 0 && errno == EINTR);
    if (got > 0) keep_fds(header, received);
    return got;
}

/// Reads until `size` bytes are there. False at the end of the peer or of its time.
bool receive_all(int connection, char* data, std::size_t size, std::size_t have, Received& received,
                 double deadline) {
    while (have < size) {
        if (now() > deadline) return false;
        const ssize_t got = receive_part(connection, data + have, size - have, received);
        if (got <= 0) return false;
        have += static_cast<std::size_t>(got);
    }
    return true;
}

constexpr const char* k_withdrawn = "the client has withdrawn";
constexpr const char* k_wrong_fds = "the request's fds are not what it says";

/// The next message of the deposit: the client fills it while we read its request.
ssize_t receive_deposited(Received& received, void* data, std::size_t size, double deadline) {
    for (;;) {
        const ssize_t got = receive_part(received.deposit, data, size, received, MSG_DONTWAIT);
        const double left = deadline - now();
        if (got >= 0 || errno != EAGAIN || left <= 0) return got;
        pollfd poll_{received.deposit, POLLIN, 0};
        poll(&poll_, 1, static_cast<int>(left * 1000) + 1);
    }
}

const char* take_others(Received& received, double deadline) {
    for (std::uint32_t count = 0; count < received.inherited.others;) {
        const std::size_t room = (received.inherited.others - count) * sizeof(std::uint32_t);
        const ssize_t got = receive_deposited(received, received.numbers + count, room, deadline);
        if (got <= 0) return k_withdrawn;
        const auto some = static_cast<std::uint32_t>(static_cast<std::size_t>(got) / sizeof(std::uint32_t));
        if (some == 0) return k_wrong_fds;
        count += some;
    }
    return nullptr;
}

}  // namespace

void prepare_to_receive() {
    first_buffer = static_cast<char*>(malloc(k_first_read));
}

const char* receive_request(int connection, Received& received) {
    if (first_buffer == nullptr) return "no memory for the request";
    const timeval limit{wire::k_request_timeout, 0};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const double deadline = now() + wire::k_request_timeout;
    constexpr std::size_t k_header = sizeof(wire::Request);

    const ssize_t got = receive_part(connection, first_buffer, k_first_read - 1, received);
    if (got <= 0) return "";
    auto have = static_cast<std::size_t>(got);
    if (!receive_all(connection, first_buffer, k_header, have, received, deadline)) return "";
    if (have < k_header) have = k_header;
    memcpy(&received.request, first_buffer, k_header);
    if (const char* wrong = wire::check_header(received.request, received.size)) return wrong;
    have -= k_header;
    if (have > received.size) return "there is more than the request";

    received.body = first_buffer + k_header;
    if (k_header + received.size + 1 > k_first_read) {
        received.body = static_cast<char*>(malloc(received.size + 1));
        if (received.body == nullptr) return "no memory for the request";
        memcpy(received.body, first_buffer + k_header, have);
    }
    if (!receive_all(connection, received.body, received.size, have, received, deadline)) return "";
    received.body[received.size] = '\0';
    if (const char* wrong = wire::check_body(received.request, received.body, received.fd_count))
        return wrong;
    received.deposit = received.fds[0];
    received.fd_count = 0;
    return nullptr;
}

const char* adopt_request(int memory, int deposit, Received& received) {
    received.deposit = deposit;
    wire::Request& request = received.request;
    const bool has_header = pread(memory, &request, sizeof request, 0) == sizeof request;
    if (!has_header) return "the request was lost on its way";
    if (const char* wrong = wire::check_header(request, received.size)) return wrong;
    received.body = first_buffer;
    if (received.size + 1 > k_first_read) received.body = static_cast<char*>(malloc(received.size + 1));
    if (received.body == nullptr) return "no memory for the request";
    const ssize_t got = pread(memory, received.body, received.size, sizeof request);
    close(memory);
    if (got != static_cast<ssize_t>(received.size)) return "the request was lost on its way";
    received.body[received.size] = '\0';
    return wire::check_body(request, received.body, wire::k_request_fds);
}

int share_request(const Received& received) {
    const int memory = memfd_create("quicken-request", MFD_CLOEXEC);
    if (memory < 0) return -1;
    iovec parts[] = {{const_cast<wire::Request*>(&received.request), sizeof received.request},
                     {received.body, received.size}};
    const auto whole = static_cast<ssize_t>(sizeof received.request + received.size);
    if (writev(memory, parts, 2) == whole) return memory;
    close(memory);
    return -1;
}

const char* take_deposit(Received& received) {
    const double deadline = now() + wire::k_request_timeout;
    wire::Inherited& inherited = received.inherited;
    if (receive_deposited(received, &inherited, sizeof inherited, deadline) != sizeof inherited)
        return k_withdrawn;
    if ((inherited.streams & ~7U) != 0 || (received.request.terminal & 7U & ~inherited.streams) != 0 ||
        inherited.others > wire::k_max_extra) {
        return k_wrong_fds;
    }
    if (const char* wrong = take_others(received, deadline)) return wrong;
    int wanted = __builtin_popcount(received.deposited());
    for (std::uint32_t i = 0; i < inherited.others; ++i) wanted += received.extra_is_terminal(i) ? 0 : 1;
    close(received.deposit);
    return received.fd_count == wanted ? nullptr : k_wrong_fds;
}

}  // namespace quicken::interp
