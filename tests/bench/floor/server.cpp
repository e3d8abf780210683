// floor-server SOCKET - takes the requests of floor-client, one after the
// other, and answers each with exit status 0: what the kernel and two
// processes cost if nothing is run. Ends with the process that started it.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "floor/message.hpp"

namespace quicken::bench {
namespace {

Fd listen_at(std::string_view path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.size() >= sizeof name.sun_path) throw Error("the socket's name is too long");
    std::memcpy(name.sun_path, path.data(), path.size());
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
        ::listen(listener.get(), SOMAXCONN) != 0) {
        throw_errno("listen at", path);
    }
    return listener;
}

void close_passed(const msghdr& message) {
    for (const cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(part))) {
        int fds[3];
        const std::size_t size = part->cmsg_len - CMSG_LEN(0);
        if (part->cmsg_type != SCM_RIGHTS || size > sizeof fds) continue;
        std::memcpy(fds, CMSG_DATA(part), size);
        for (std::size_t at = 0; at < size / sizeof(int); ++at) ::close(fds[at]);
    }
}

/// A client that breaks off gets no answer.
void serve(int connection, std::vector<char>& buffer) {
    alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size = ::recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    FloorRequest request{};
    if (size < static_cast<ssize_t>(sizeof request)) return;
    close_passed(message);
    std::memcpy(&request, buffer.data(), sizeof request);
    const std::size_t wanted = sizeof request + request.length;
    for (std::size_t got = static_cast<std::size_t>(size); got < wanted;
         got += static_cast<std::size_t>(size)) {
        size = ::recv(connection, buffer.data(), buffer.size(), 0);
        if (size <= 0) return;
    }
    const std::int32_t status = 0;
    ::send(connection, &status, sizeof status, MSG_NOSIGNAL);
}

}  // namespace
}  // namespace quicken::bench

int main(int argc, char** argv) try {
    if (argc != 2) throw quicken::Error("usage: floor-server SOCKET");
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const quicken::Fd listener = quicken::bench::listen_at(argv[1]);
    std::vector<char> buffer(1 << 20);
    for (;;) {
        const quicken::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (connection) quicken::bench::serve(connection.get(), buffer);
    }
} catch (const std::exception& error) {
    std::fprintf(stderr, "floor-server: %s\n", error.what());
    return 1;
}
