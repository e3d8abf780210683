#include "common/bus_object.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/error.hpp"

namespace quicken::bus {

namespace {

void check(int result, const char* attempt) {
    if (result < 0) throw Error(attempt, "a D-Bus connection", -result);
}

bool is_ours(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

}  // namespace

void Object::listen(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw Error("bind", path, ENAMETOOLONG);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener_) throw_errno("make", "a socket");
    unlink(path.c_str());
    const mode_t before = umask(0177);
    const int bound = bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    umask(before);
    if (bound != 0 || ::listen(listener_.get(), SOMAXCONN) != 0) throw_errno("bind", path);
    acceptable_ = loop_.on_io(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_peer(); });
}

void Object::accept_peer() {
    Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket || !is_ours(socket.get())) return;
    Peer peer;
    sd_bus* raw = nullptr;
    check(sd_bus_new(&raw), "make");
    peer.bus.reset(raw);
    sd_id128_t id{};
    check(sd_id128_randomize(&id), "name");
    check(sd_bus_set_fd(raw, socket.get(), socket.get()), "attach");
    [[maybe_unused]] const int owned = socket.release();  // by sd-bus
    check(sd_bus_set_server(raw, 1, id), "serve");
    check(sd_bus_start(raw), "start");
    serve(std::move(peer), SD_EVENT_PRIORITY_NORMAL);
}

/// Keeps the connection until its other end goes.
void Object::serve(Peer peer, std::int64_t priority) {
    sd_bus* raw = peer.bus.get();
    check(sd_bus_attach_event(raw, loop_.get(), static_cast<int>(priority)), "attach");
    sd_bus_slot* slot = nullptr;
    check(sd_bus_add_object_vtable(raw, &slot, what_.path, what_.interface, what_.vtable, what_.data),
          "add the object to");
    peer.object.reset(slot);
    check(sd_bus_match_signal(raw, &slot, nullptr, "/org/freedesktop/DBus/Local",
                              "org.freedesktop.DBus.Local", "Disconnected", peer_gone, this),
          "watch");
    peer.disconnected.reset(slot);
    if (before_message) {
        check(sd_bus_add_filter(raw, &slot, Guarded<filter>::call, this), "filter");
        peer.filter.reset(slot);
    }
    peers_.push_back(std::move(peer));
}

int Object::filter(sd_bus_message*, void* data, sd_bus_error*) {
    static_cast<Object*>(data)->before_message();
    return 0;
}

int Object::peer_gone(sd_bus_message* message, void* data, sd_bus_error*) {
    sd_bus* gone = sd_bus_message_get_bus(message);
    // sd-bus holds a reference to the bus while it dispatches.
    static_cast<Object*>(data)->peers_.remove_if([gone](const Peer& peer) { return peer.bus.get() == gone; });
    return 0;
}

void Object::publish(const std::string& name, std::int64_t priority) {
    if (std::exchange(published_, true)) return;
    Peer peer;
    sd_bus* raw = nullptr;
    if (sd_bus_open_user(&raw) < 0) return;
    peer.bus.reset(raw);
    check(sd_bus_request_name_async(raw, nullptr, name.c_str(), 0, nullptr, nullptr), "name");
    serve(std::move(peer), priority);
}

}  // namespace quicken::bus
