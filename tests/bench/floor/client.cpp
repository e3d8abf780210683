// floor-client SOCKET [ARG...] - the least that a client can be: five system
// calls from exec to the exit. What it does not do (resolve a program, check
// anything, pass signals and the terminal on, run plainly) is what `quicken`
// has to do in addition.
#include <sys/socket.h>
#include <sys/un.h>

#include "common/sys.hpp"
#include "floor/message.hpp"

namespace {

using quicken::sys::address;
using quicken::sys::call;

[[noreturn]] void end(long status) {
    for (;;) call(__NR_exit_group, status);
}

bool connect(int socket, const char* path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    for (std::size_t at = 0; path[at] != '\0'; ++at) {
        if (at + 1 >= sizeof name.sun_path) return false;
        name.sun_path[at] = path[at];
    }
    return call(__NR_connect, socket, address(&name), sizeof name) == 0;
}

/// A stream may take less than all of it: 208 KiB at once.
bool send(int socket, iovec* parts, msghdr& message) {
    std::size_t left = parts[0].iov_len + parts[1].iov_len;
    while (left > 0) {
        const long sent = call(__NR_sendmsg, socket, address(&message), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        left -= static_cast<std::size_t>(sent);
        message.msg_control = nullptr;
        message.msg_controllen = 0;
        std::size_t gone = static_cast<std::size_t>(sent);
        for (int part = 0; part < 2; ++part) {
            const std::size_t of_this = gone < parts[part].iov_len ? gone : parts[part].iov_len;
            parts[part].iov_base = static_cast<char*>(parts[part].iov_base) + of_this;
            parts[part].iov_len -= of_this;
            gone -= of_this;
        }
    }
    return true;
}

}  // namespace

extern "C" [[noreturn, gnu::used]] void quicken_start(unsigned long* stack) {
    const unsigned long argc = stack[0];
    auto** argv = reinterpret_cast<char**>(stack + 1);
    char** last = argv + argc + 1;
    while (*last != nullptr) ++last;
    // Arguments and environment lie one after the other; the last string's end is theirs.
    const char* limit = last[-1] != nullptr ? last[-1] : argv[argc - 1];
    while (*limit++ != '\0') {
    }
    if (argc < 2) end(2);

    quicken::bench::FloorRequest request{static_cast<std::uint32_t>(argc),
                                         static_cast<std::uint32_t>(limit - argv[0])};
    iovec parts[2] = {{&request, sizeof request}, {argv[0], request.length}};
    alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))]{};
    auto* passed = reinterpret_cast<cmsghdr*>(control);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(3 * sizeof(int));
    for (int fd = 0; fd < 3; ++fd) reinterpret_cast<int*>(CMSG_DATA(passed))[fd] = fd;
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control;
    message.msg_controllen = sizeof control;

    const int socket = static_cast<int>(call(__NR_socket, AF_UNIX, SOCK_STREAM, 0));
    std::int32_t status = 125;
    if (socket < 0 || !connect(socket, argv[1]) || !send(socket, parts, message)) end(126);
    if (call(__NR_recvfrom, socket, address(&status), sizeof status, 0) != sizeof status) end(126);
    end(status);
}
