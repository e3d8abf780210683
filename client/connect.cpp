// connect(2) to a stream socket waits, without a limit, while its backlog is
// full. So the socket is non-blocking, and where that says that it would have
// waited, connects again with a limit.
#include "connect.hpp"

#include <sys/un.h>

#include <cerrno>

#include "common/instance.hpp"
#include "common/sys.hpp"
#include "common/text.hpp"
#include "descriptor.hpp"

namespace quicken::client {

namespace {

constexpr timeval k_connect_limit{5, 0};

constexpr Connection unfit(const char* reason) {
    return {Connection::Kind::unfit, -1, reason};
}

bool socket_path(const wire::Instance& instance, char** environment, sockaddr_un& address) {
    char name[33];
    format(instance, name);
    // Room for the rest: "/", the name and ".sock".
    char directory[sizeof address.sun_path];
    if (!socket_directory(environment, directory, sizeof directory)) return false;
    TextBuffer path(address.sun_path);
    return path.append(directory).append("/").append(name).append(".sock").finish();
}

int connect_with_limit(int fd, const sockaddr_un& address) {
    const int error = sys::connect(fd, &address, sizeof address);
    if (error != -EAGAIN) return error;
    sys::setsockopt(fd, SO_SNDTIMEO, &k_connect_limit, sizeof k_connect_limit);
    sys::fcntl(fd, F_SETFL, 0);
    const int result = sys::connect(fd, &address, sizeof address);
    sys::fcntl(fd, F_SETFL, O_NONBLOCK);
    return result;
}

/// SO_PEERCRED tells who called listen(2), or the socket's other end.
bool is_ours(int fd, uid_t user) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return sys::getsockopt(fd, SO_PEERCRED, &peer, size) == 0 && peer.uid == user;
}

}  // namespace

Connection connect_to(const wire::Instance& instance, const Process& process) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!socket_path(instance, process.environment, address)) {
        return unfit("XDG_RUNTIME_DIR is not absolute or too long for a socket");
    }
    const int fd = lift(sys::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd < 0) return unfit("no socket can be made");

    const int error = connect_with_limit(fd, address);
    if (error == 0 && is_ours(fd, process.user)) return {Connection::Kind::ready, fd, nullptr};
    sys::close(fd);
    switch (error) {
        case 0:
            return unfit("the server's socket is another user's");
        case -ENOENT:
        case -ECONNREFUSED:
            return {Connection::Kind::nobody, -1, nullptr};
        case -EAGAIN:
            return unfit("the server takes no connections");
        default:
            return unfit("the server's socket cannot be connected to");
    }
}

}  // namespace quicken::client
