// On Linux exec lays the strings of argv and of the environment end to end
// (create_elf_tables in fs/binfmt_elf.c finds each as the end of the one
// before), so each block is one piece of memory and is sent without a copy.
// That is verified as far as it can be without reading all of it: pointers
// ascend and a NUL precedes each. Anything that still slips through changes
// the number of strings, which the server counts.
#include "request.hpp"

#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/sys.hpp"
#include "descriptor.hpp"
#include "inherited.hpp"

namespace quicken::client {

namespace {

constexpr long k_send_limit = 5;  // seconds without progress
constexpr std::size_t k_own_fds = 2;  // the connection and the working directory

struct Block {
    char* begin;
    std::size_t size;
    std::uint32_t count;
    bool whole;
};

Block block_of(char** strings) {
    Block block{*strings, 0, 0, true};
    if (*strings == nullptr) return block;
    char** last = strings;
    for (; last[1] != nullptr; ++last) {
        if (last[1] <= last[0] || last[1][-1] != '\0') block.whole = false;
    }
    block.count = static_cast<std::uint32_t>(last - strings) + 1;
    if (block.whole) block.size = static_cast<std::size_t>(*last - *strings) + std::strlen(*last) + 1;
    return block;
}

std::uint32_t length(std::size_t size) {
    return static_cast<std::uint32_t>(size);
}

iovec part(std::string_view text) {
    return {const_cast<char*>(text.data()), text.size()};
}

mode_t current_umask() {
    const mode_t mask = sys::umask(0);
    sys::umask(mask);
    return mask;
}

std::uint32_t open_streams() {
    std::uint32_t mask = 0;
    for (int fd = 0; fd < 3; ++fd) {
        if (sys::fcntl(fd, F_GETFD) >= 0) mask |= 1U << static_cast<unsigned>(fd);
    }
    return mask;
}

/// A control message (cmsg(3)) with room for so many fds. The layout is cmsghdr's, which no class can have as a member.
template <std::size_t k_count>
struct Passed {
    std::size_t length = CMSG_LEN(0);
    int level = SOL_SOCKET;
    int type = SCM_RIGHTS;
    int fds[k_count]{};

    void add(int fd) {
        fds[(length - CMSG_LEN(0)) / sizeof(int)] = fd;
        length += sizeof(int);
    }

    void attach(msghdr& message) {
        message.msg_control = this;
        message.msg_controllen = CMSG_ALIGN(length);
    }
};
using Basic = Passed<4>;  // the streams and the directory
using Extra = Passed<wire::k_fds_per_message>;
static_assert(sizeof(Basic) == CMSG_SPACE(4 * sizeof(int)) &&
              offsetof(cmsghdr, cmsg_level) == sizeof(std::size_t) &&
              offsetof(cmsghdr, cmsg_type) == offsetof(cmsghdr, cmsg_level) + sizeof(int));

Basic basic_fds(std::uint32_t streams, int directory) {
    Basic passed;
    for (int fd = 0; fd < 3; ++fd) {
        if ((streams >> static_cast<unsigned>(fd) & 1U) != 0) passed.add(fd);
    }
    passed.add(directory);
    return passed;
}

/// Takes off what has been sent; the fds went with the first byte.
void advance(msghdr& message, std::size_t sent) {
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    while (sent > 0) {
        iovec& first = *message.msg_iov;
        const std::size_t step = sent < first.iov_len ? sent : first.iov_len;
        first.iov_base = static_cast<char*>(first.iov_base) + step;
        first.iov_len -= step;
        sent -= step;
        if (first.iov_len > 0) continue;
        ++message.msg_iov;
        --message.msg_iovlen;
    }
}

/// Before the command has been started a signal acts on the client itself.
bool wait_for_room(const Run& run, int fd) {
    pollfd poll{fd, POLLOUT, 0};
    timespec limit{k_send_limit, 0};
    int ready;
    do {
        ready = sys::ppoll(&poll, 1, &limit, &run.signals.original());
    } while (ready == -EINTR);
    return ready > 0;
}

std::size_t left(const msghdr& message) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) size += message.msg_iov[i].iov_len;
    return size;
}

const char* send_rest(const Run& run, int fd, msghdr& message) {
    while (left(message) > 0) {
        const long sent = sys::sendmsg(fd, message, MSG_NOSIGNAL);
        if (sent == -EPIPE || sent == -ECONNRESET) return nullptr;
        if (sent == -EAGAIN) {
            if (!wait_for_room(run, fd)) return "the server does not read the request";
            continue;
        }
        if (sent == -EINTR) continue;
        if (sent == -ETOOMANYREFS) return "too many file descriptors are on their way";
        if (sent < 0) return "the request cannot be sent";
        advance(message, static_cast<std::size_t>(sent));
    }
    return nullptr;
}

/// The numbers of the inherited fds, each piece with the fds themselves.
const char* send_inherited(const Run& run, int fd, std::span<const std::uint32_t> numbers) {
    while (!numbers.empty()) {
        const auto piece = numbers.first(numbers.size() < wire::k_fds_per_message ? numbers.size()
                                                                                  : wire::k_fds_per_message);
        Extra passed;
        for (const std::uint32_t number : piece) passed.add(static_cast<int>(number));
        iovec part{const_cast<std::uint32_t*>(piece.data()), piece.size_bytes()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        passed.attach(message);
        if (const char* reason = send_rest(run, fd, message)) return reason;
        numbers = numbers.subspan(piece.size());
    }
    return nullptr;
}

}  // namespace

const char* prepare(const Run& run, const wire::Instance& instance, Outgoing& out) {
    const Target& target = run.target;
    const std::string_view first = target.what == wire::What::file ? run.invocation.name : target.name;
    const Block arguments = block_of(run.invocation.arguments);
    const Block environment = block_of(run.process.environment);
    if (!arguments.whole || !environment.whole) return "arguments or environment are not in one piece";

    const int directory = sys::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    out.directory = lift(directory);
    if (out.directory < 0) return "the working directory cannot be opened";
    const bool hole = directory < 3;
    if (const char* reason = find_inherited(k_own_fds, hole, out.inherited)) return reason;

    wire::Request& request = out.request;
    request = {};
    request.magic = wire::k_magic;
    request.protocol = wire::k_protocol;
    request.instance = instance;
    request.what = target.what;
    request.umask = current_umask();
    request.fd_mask = 7;
    request.name_length = length(target.name.size());
    request.directory_length = length(target.directory.size());
    request.interpreter_length = length(target.interpreter.size());
    request.options_length = length(target.options.size());
    request.argc = 1 + arguments.count;
    request.argv_length = length(first.size() + 1 + arguments.size);
    request.envc = environment.count;
    request.environ_length = length(environment.size);
    request.extra_count = length(out.inherited.size());
    request.script = target.script;

    out.parts[0] = {&request, sizeof request};
    out.parts[1] = part(target.name);
    out.parts[2] = part(target.directory);
    out.parts[3] = part(target.interpreter);
    out.parts[4] = part(target.options);
    out.parts[5] = {const_cast<char*>(first.data()), first.size() + 1};
    out.parts[6] = {arguments.begin, arguments.size};
    out.parts[7] = {environment.begin, environment.size};
    return nullptr;
}

const char* send(const Run& run, int fd, Outgoing& out) {
    iovec parts[Outgoing::k_parts];
    for (std::size_t i = 0; i < Outgoing::k_parts; ++i) parts[i] = out.parts[i];
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = Outgoing::k_parts;

    out.request.signal_mask = run.signals.original();
    Basic passed = basic_fds(out.request.fd_mask, out.directory);
    passed.attach(message);
    const long sent = sys::sendmsg(fd, message, MSG_NOSIGNAL);
    if (sent == -EBADF) {  // one of the streams is closed: it is to stay so
        out.request.fd_mask = open_streams();
        passed = basic_fds(out.request.fd_mask, out.directory);
        passed.attach(message);
    }
    if (sent > 0) advance(message, static_cast<std::size_t>(sent));
    if (const char* reason = send_rest(run, fd, message)) return reason;
    return send_inherited(run, fd, out.inherited);
}

}  // namespace quicken::client
