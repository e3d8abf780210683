#include "serve/listeners.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace quicken::serve {

namespace {

struct Name {
    sockaddr_storage storage{};
    socklen_t size = 0;
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool is_unix(const std::string& address) {
    return !address.empty() && address.front() == '/';
}

Name unix_name(const std::string& path) {
    Name name;
    auto& address = reinterpret_cast<sockaddr_un&>(name.storage);
    if (path.size() >= sizeof address.sun_path) throw Error("bind", path, ENAMETOOLONG);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    name.size = sizeof address;
    return name;
}

/// As Python's socketserver has it, "" is all of IPv4, and a name is looked up there first.
Name internet_name(const std::string& address, int port) {
    if (port < 0 || port > 65535) throw Error("bind", address, EINVAL);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    const std::string service = std::to_string(port);
    for (const int family : {AF_INET, AF_INET6}) {
        hints.ai_family = family;
        addrinfo* raw = nullptr;
        if (getaddrinfo(address.empty() ? nullptr : address.c_str(), service.c_str(), &hints, &raw) != 0)
            continue;
        const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(raw, freeaddrinfo);
        Name name;
        name.size = found->ai_addrlen;
        std::memcpy(&name.storage, found->ai_addr, found->ai_addrlen);
        return name;
    }
    throw Error("bind", address, EADDRNOTAVAIL);
}

/// A path whose socket nobody listens on was left by somebody who is dead.
void remove_stale(const std::string& path, const Name& name) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (probe && connect(probe.get(), name.get(), name.size) != 0 && errno == ECONNREFUSED)
        unlink(path.c_str());
}

Fd listen_at(const std::string& address, int port) {
    const std::string text = is_unix(address) ? address : address + ":" + std::to_string(port);
    const Name name = is_unix(address) ? unix_name(address) : internet_name(address, port);
    Fd fd(socket(name.get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) throw_errno("make a socket for", text);
    const int on = 1;
    if (is_unix(address)) {
        remove_stale(address, name);
    } else if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        throw_errno("bind", text);
    }
    if (bind(fd.get(), name.get(), name.size) != 0) throw_errno("bind", text);
    if (listen(fd.get(), SOMAXCONN) != 0) throw_errno("listen at", text);
    return fd;
}

Name name_of(int fd) {
    Name name;
    name.size = sizeof name.storage;
    if (getsockname(fd, name.get(), &name.size) != 0) throw_errno("name", "a listening socket");
    return name;
}

int port_of(int fd) {
    const Name name = name_of(fd);
    if (name.storage.ss_family == AF_INET)
        return ntohs(reinterpret_cast<const sockaddr_in&>(name.storage).sin_port);
    if (name.storage.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6&>(name.storage).sin6_port);
    return 0;
}

std::string text_of(const std::string& address, int fd) {
    const Name name = name_of(fd);
    if (name.storage.ss_family == AF_UNIX)
        return std::string("unix:") + reinterpret_cast<const sockaddr_un&>(name.storage).sun_path;
    const bool bracketed = address.find(':') != std::string::npos;
    const std::string host = address.empty() ? "localhost" : bracketed ? "[" + address + "]" : address;
    return "http://" + host + ":" + std::to_string(port_of(fd));
}

}  // namespace

Listeners::Listeners() {
    const int count = sd_listen_fds(1);
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count; ++fd) {
        passed_.emplace_back(fd);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
            throw Error("a passed descriptor is not a listening stream socket");
    }
}

Listeners::~Listeners() {
    for (const Socket& socket : sockets_) remove_path(socket);
}

/// Only if it is still ours: its inode is not that of the socket, but who binds the path anew listens there.
void Listeners::remove_path(const Socket& socket) {
    if (!is_unix(socket.address)) return;
    shutdown(socket.fd.get(), SHUT_RDWR);  // from now on nobody listens, unless it is somebody else
    try {
        remove_stale(socket.address, unix_name(socket.address));
    } catch (const Error&) {
        // It was bound: so it has a name.
    }
}

Listeners::Found Listeners::find(unsigned generation, int nth, const std::string& address, int port,
                                 int repetition) {
    if (nth < static_cast<int>(passed_.size())) {
        const int fd = passed_[static_cast<std::size_t>(nth)].get();
        return {fd, port_of(fd)};
    }
    const auto known = std::find_if(sockets_.begin(), sockets_.end(), [&](const Socket& socket) {
        return socket.address == address && socket.port == port && socket.repetition == repetition;
    });
    Socket& found = known != sockets_.end() ? *known : bind_new(address, port, repetition);
    found.generations.insert(generation);
    return {found.fd.get(), port_of(found.fd.get())};
}

Listeners::Socket& Listeners::bind_new(const std::string& address, int port, int repetition) {
    sockets_.push_back({address, port, repetition, listen_at(address, port), {}});
    return sockets_.back();
}

void Listeners::keep_only(const std::set<unsigned>& generations) {
    sockets_.remove_if([&](Socket& socket) {
        const bool wanted = std::any_of(socket.generations.begin(), socket.generations.end(),
                                        [&](unsigned one) { return generations.contains(one); });
        if (!wanted) remove_path(socket);
        return !wanted;
    });
}

std::vector<std::string> Listeners::addresses() const {
    std::vector<std::string> result;
    for (const Fd& fd : passed_) result.push_back(text_of("", fd.get()));
    for (const Socket& socket : sockets_) result.push_back(text_of(socket.address, socket.fd.get()));
    return result;
}

}  // namespace quicken::serve
