// `quickenctl stop`.
//
// Nobody who comes meanwhile may wait for the commands that still run. So of a
// server of the user manager the socket's path goes first, then the stop of
// both units is queued, all under the directory's exclusive lock: an activation
// is either over before that or finds the stop queued and runs its program
// plainly. Only then the server is told. A server of an activator is told
// only; it unlinks its own path, under the same lock.
//
// The clean-up takes the lock again and removes nothing of an instance that
// has been started anew in between.
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "common/error.hpp"
#include "ctl/commands.hpp"
#include "ctl/server.hpp"

namespace quicken::ctl {
namespace {

using std::chrono::milliseconds;

/// The unit's TimeoutStopSec=20 and a little.
constexpr std::chrono::seconds k_stop_limit{22};
constexpr std::chrono::seconds k_start_limit{2};

class Stop {
 public:
    Stop(Place& place, const Selection& selection)
        : place_(place),
          id_(selection.id),
          text_(dropin::printable(selection.text)),
          socket_(place.directory.socket(id_)),
          deadline_(bus::Clock::now() + k_stop_limit) {}

    /// False if there was nothing to stop.
    bool run(bool now);

 private:
    bool has_units() const;
    std::optional<Server> find_server() const;
    void queue_unit_stops();
    void wait_for_units();
    void wait_for_process(const Fd& process, std::uint32_t pid) const;
    void clean_up() const;

    Place& place_;
    std::string id_;
    std::string text_;
    std::string socket_;
    bus::Deadline deadline_;
    std::vector<std::pair<std::string, std::string>> jobs_;  // unit, job
};

bool Stop::has_units() const {
    if (!place_.manager) {
        return false;
    }
    const auto units = place_.manager->list({dropin::socket_unit(id_), dropin::service_unit(id_)});
    return std::any_of(units.begin(), units.end(),
                       [](const auto& unit) { return unit.active != "inactive" && unit.active != "failed"; });
}

/// A server that an activator has just started listens before it has its control socket.
std::optional<Server> Stop::find_server() const {
    const std::string control = place_.directory.control(id_);
    const auto limit = bus::Clock::now() + k_start_limit;
    for (;;) {
        auto server = Server::connect(control);
        if (server || !is_listening(socket_) || has_units()) {
            return server;
        }
        if (bus::Clock::now() >= limit) {
            throw Error("a server listens at " + socket_ + " but has no " + control +
                        "; ss -xlp shows its pid, " + "kill ends it");
        }
        std::this_thread::sleep_for(milliseconds(20));
    }
}

void Stop::queue_unit_stops() {
    const Fd lock = place_.directory.lock(LOCK_EX, deadline_);
    ::unlink(socket_.c_str());  // it may be gone already
    for (const auto& unit : {dropin::socket_unit(id_), dropin::service_unit(id_)}) {
        try {
            jobs_.emplace_back(unit, place_.manager->stop(unit));
        } catch (const bus::CallError& error) {
            if (error.name() != k_no_such_unit) {
                throw;
            }
        }
    }
}

void Stop::wait_for_units() {
    for (const auto& [unit, job] : jobs_) {
        const std::string result = place_.manager->wait_for(job, deadline_);
        if (result != "done") {
            throw Error("the stop of " + unit + " ended with \"" + result +
                        "\"; see systemctl --user status " + unit);
        }
    }
}

void Stop::wait_for_process(const Fd& process, std::uint32_t pid) const {
    pollfd poll{process.get(), POLLIN, 0};
    for (;;) {
        const auto left = std::chrono::duration_cast<milliseconds>(deadline_ - bus::Clock::now()).count();
        const int ready = ::poll(&poll, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
        if (ready > 0) {
            return;
        }
        if (ready == 0) {
            throw Error(
                fmt::format("the server of {} (pid {}) has not ended within {} s; --now kills its commands",
                            text_, pid, k_stop_limit.count()));
        }
        if (errno != EINTR) {
            throw_errno("wait for", fmt::format("process {}", pid));
        }
    }
}

void Stop::clean_up() const {
    const Fd lock = place_.directory.lock(LOCK_EX, bus::Clock::now() + k_start_limit);
    if (has_units() || is_listening(socket_)) {
        return;
    }
    if (place_.manager) {
        place_.manager->reset_failed(dropin::socket_unit(id_));
        place_.manager->reset_failed(dropin::service_unit(id_));
    }
    if (const std::string runtime_directory = place_.directory.runtime_directory();
        !runtime_directory.empty()) {
        dropin::remove(runtime_directory, id_);
    }
    // Leftovers of a server that was killed; mostly there are none.
    ::unlink(socket_.c_str());
    ::unlink(place_.directory.control(id_).c_str());
}

bool Stop::run(bool now) {
    auto server = find_server();
    const auto properties = server ? server->properties() : std::nullopt;
    if (!properties) server.reset();
    const bool units = has_units();
    if (!server && !units) {
        clean_up();
        return false;
    }
    const std::uint32_t pid = properties ? properties->pid : 0;
    Fd process(server ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1);
    if (units) {
        queue_unit_stops();
    }
    if (server) {
        try {
            server->stop(now);
        } catch (const bus::CallError&) {
            // The manager's TERM was faster; whether the server ends is seen below.
        }
    }
    wait_for_units();
    if (process) {
        wait_for_process(process, pid);
    }
    clean_up();
    return true;
}

}  // namespace

bool stop_server(Place& place, const Selection& selection, bool now) {
    const bool none = !selection.plain.empty() || place.directory.fd() < 0;
    return !none && Stop(place, selection).run(now);
}

int stop(Place& place, const Selection& selection, bool now) {
    const bool stopped = stop_server(place, selection, now);
    fmt::print("{} {}\n", dropin::printable(selection.text), stopped ? "stopped" : "is not running");
    return 0;
}

}  // namespace quicken::ctl
