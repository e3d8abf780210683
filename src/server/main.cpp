// quicken-server: one warm program. Started by the user's systemd, or by
// quicken-activate in its manner, with the listening socket as the only passed
// fd (sd_listen_fds(3)). Everything else it learns from its first client.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>

#include "common/error.hpp"
#include "common/loop.hpp"
#include "common/version.hpp"
#include "control_object.hpp"
#include "log.hpp"
#include "supervisor.hpp"

namespace quicken::server {

namespace {

Fd passed_listener() {
    if (sd_listen_fds(1) != 1) {
        throw Error(
            "quicken-server is started by quicken or systemd, with one listening socket (see "
            "quicken-server(8))");
    }
    Fd listener(SD_LISTEN_FDS_START);
    if (sd_is_socket_unix(listener.get(), SOCK_STREAM, 1, nullptr, 0) <= 0) {
        throw Error("the passed fd is not a listening Unix stream socket");
    }
    return listener;
}

std::filesystem::path path_of(const Fd& listener) {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw_errno("name", "the passed socket");
    }
    return std::string(address.sun_path, strnlen(address.sun_path, sizeof address.sun_path));
}

Place find_place() {
    Place place;
    place.listener = passed_listener();
    const std::filesystem::path path = path_of(place.listener);
    place.instance = path.stem();
    place.directory = path.parent_path();
    const bool hexadecimal = place.instance.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (place.instance.size() != 32 || !hexadecimal)
        throw Error(path.string() + " is not the socket of an instance");
    if (const char* own = std::getenv("QUICKEN_SOCKET")) place.own_path = own;
    const std::filesystem::path ours = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    place.library = ours / "quicken-interp.so";
    const std::string session = ours / "quicken-session";
    place.own.add(ours / "quicken-server", identity_of("/proc/self/exe"));
    for (const std::string& file : {place.library, session}) place.own.add(file, identity_of(file));
    place.session = Fd(open(session.c_str(), O_PATH | O_CLOEXEC));
    if (!place.session) throw_errno("open", session);
    return place;
}

void block_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&set, signal);
    if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) throw_errno("block", "signals");
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) throw_errno("ignore", "SIGPIPE");
}

void tell_systemd(const Supervisor& supervisor) {
    const Program* program = supervisor.program();
    const std::string name = program != nullptr ? std::string(program->name()) : "nothing yet";
    sd_notify(0, fmt::format("STATUS={}: {}; {} commands run, {} running", supervisor.state_name(), name,
                             supervisor.variants().commands_run(), supervisor.variants().commands().size())
                     .c_str());
}

/// The name on the bus is an extra: what served goes on without it.
void publish(ControlObject& control) {
    try {
        control.publish();
    } catch (const std::exception& error) {
        log(Level::warning, "{}", error.what());
    }
}

/// Every command has an fd here. Returns the limit that templates and commands are to have.
rlimit raise_fd_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) throw_errno("read", "the limit of fds");
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
        log(Level::warning, "raise the limit of fds: {}", errno_text(errno));
    return limit;
}

int run() {
    block_signals();
    Loop loop([](const char* text) { log(Level::error, "{}", text); });
    Place place = find_place();
    place.fd_limit = raise_fd_limit();
    const char* activation = place.own_path.empty() ? "systemd" : "self";
    Supervisor supervisor(loop, std::move(place));
    ControlObject control(loop, supervisor, activation);
    supervisor.on_change([&] {
        tell_systemd(supervisor);
        if (supervisor.state() == State::ready) publish(control);
    });
    supervisor.on_leave([&] { control.withdraw(); });
    sd_notify(0, "READY=1");
    const int status = loop.run();
    sd_notify(0, "STOPPING=1");
    return status;
}

}  // namespace

}  // namespace quicken::server

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
        fmt::print("quicken-server {}\n", quicken::k_version);
        return 0;
    }
    try {
        return quicken::server::run();
    } catch (const std::exception& error) {
        quicken::server::log(quicken::server::Level::error, "{}", error.what());
        return 1;
    }
}
