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
#include "common/target.hpp"
#include "common/text.hpp"
#include "descriptor.hpp"
#include "inherited.hpp"
#include "passed.hpp"

namespace quicken::client {

namespace {

constexpr long k_send_limit = 5;  // seconds without progress
constexpr std::uint32_t k_all_streams = 7;

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

/// Of a program that has handed itself over the last variable says so (common/target.hpp), which is for the
/// plain run alone.
Block without_mark(Block block, char** strings) {
    if (!block.whole || block.count == 0) return block;
    const char* last = strings[block.count - 1];
    if (!starts_with(last, k_handed_over) || last[k_handed_over.size()] != '=') return block;
    --block.count;
    block.size -= std::strlen(last) + 1;
    return block;
}

std::uint32_t length(std::size_t size) {
    return static_cast<std::uint32_t>(size);
}

iovec part(std::string_view text) {
    return {const_cast<char*>(text.data()), text.size()};
}

/// For the two fds of the command's terminal, which come with `started` (without them it would be lost), and
/// for one that is open while that is awaited.
bool has_room_for_three(int fd) {
    int copies[3];
    for (int& copy : copies) copy = sys::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    for (const int copy : copies) {
        if (copy >= 0) sys::close(copy);
    }
    return copies[2] >= 0;
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

}  // namespace

const char* prepare(const Run& run, const wire::Instance& instance, Outgoing& out) {
    const Target& target = run.target;
    const std::string_view first = target.original != nullptr        ? target.original
                                   : target.what == wire::What::file ? run.invocation.name
                                                                     : target.name;
    const Block arguments = block_of(run.invocation.arguments);
    const Block environment = without_mark(block_of(run.process.environment), run.process.environment);
    if (!arguments.whole || !environment.whole) return "arguments or environment are not in one piece";

    wire::Request& request = out.request;
    request = {};
    out.terminal.open();
    if (out.terminal.exists()) out.terminal.describe(request);
    if (target.own_name) request.terminal |= wire::k_own_name;
    if (!out.deposit.open()) return "no socket can be made";
    if (out.terminal.exists() && !has_room_for_three(out.terminal.fd()))
        return "too few file descriptors are left for a terminal";
    request.magic = wire::k_magic;
    request.protocol = wire::k_protocol;
    request.instance = instance;
    request.what = target.what;
    request.name_length = length(target.name.size());
    request.directory_length = length(target.directory.size());
    request.interpreter_length = length(target.interpreter.size());
    request.options_length = length(target.options.size());
    const std::size_t first_size = target.what == wire::What::python ? 0 : first.size() + 1;
    request.argc = (first_size == 0 ? 0 : 1) + arguments.count;
    request.argv_length = length(first_size + arguments.size);
    request.envc = environment.count;
    request.environ_length = length(environment.size);
    request.script = target.script;
    request.fork_point = target.fork_point;

    out.parts[0] = {&request, sizeof request};
    out.parts[1] = part(target.name);
    out.parts[2] = part(target.directory);
    out.parts[3] = part(target.interpreter);
    out.parts[4] = part(target.options);
    out.parts[5] = {const_cast<char*>(first.data()), first_size};
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
    Passed<1> passed;
    passed.add(out.deposit.socket());
    passed.attach(message);
    return send_rest(run, fd, message);
}

const char* fill_deposit(Run& run, Outgoing& out) {
    if (out.deposited) return nullptr;
    if (run.script >= 0) sys::close(run.script);
    const std::uint32_t terminal = out.request.terminal;
    const std::size_t own_fds = 1 + Deposit::k_fds + (out.terminal.exists() ? 1 : 0);  // 1: the connection
    if (!none_is_inherited(own_fds)) {
        if (const char* reason = list_inherited(out.inherited)) return reason;
        out.terminal.mark(out.inherited);
    }
    int error = out.deposit.fill(k_all_streams, terminal, out.inherited);
    if (error == -EBADF) {  // one of the streams is closed, and is to stay so
        if (const char* reason = list_inherited(out.inherited)) return reason;
        out.terminal.mark(out.inherited);
        error = out.deposit.fill(open_streams(), terminal, out.inherited);
    }
    out.deposited = true;
    return error == 0 ? nullptr : "the file descriptors cannot be passed";
}

}  // namespace quicken::client
