#include "www/listening.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "common/error.hpp"

namespace quicken::www {

namespace {

using Found = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Found look_up(const std::string& address, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    for (const int family : {AF_INET, AF_INET6}) {
        hints.ai_family = family;
        addrinfo* found = nullptr;
        const char* name = address.empty() ? nullptr : address.c_str();
        if (getaddrinfo(name, std::to_string(port).c_str(), &hints, &found) == 0)
            return {found, freeaddrinfo};
    }
    throw Error("listen at", address, EADDRNOTAVAIL);
}

}  // namespace

Fd listen_at(const std::string& address, std::uint16_t port) {
    const Found found = look_up(address, port);
    const std::string text = address + ":" + std::to_string(port);
    Fd listener(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener) throw_errno("make a socket for", text);
    const int on = 1;
    if (setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) throw_errno("reuse", text);
    if (bind(listener.get(), found->ai_addr, found->ai_addrlen) != 0) throw_errno("listen at", text);
    if (listen(listener.get(), SOMAXCONN) != 0) throw_errno("listen at", text);
    return listener;
}

std::uint16_t port_of(const Fd& listener) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0)
        throw_errno("name", "a listening socket");
    if (name.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);
    if (name.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(name).sin6_port);
    return 0;
}

}  // namespace quicken::www
