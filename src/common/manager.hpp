// The user's service manager, as far as quicken needs it
// (org.freedesktop.systemd1(5)).
//
// The first way to it is its private socket, which works where there is no
// session bus and never starts one; it is a detail of systemd's, so the
// session bus of the same runtime directory is the second. Both are below the
// runtime directory, so the manager's %t is that directory.
// A reply to StartUnit only says that a job is queued: wait_for() says how it
// ended.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/bus.hpp"

namespace quicken {

/// Names of errors that a caller has an answer to.
inline constexpr char k_no_such_unit[] = "org.freedesktop.systemd1.NoSuchUnit";
inline constexpr char k_destructive[] = "org.freedesktop.systemd1.TransactionIsDestructive";

class Manager {
 public:
    struct Unit {
        std::string name;
        std::string load;    // loaded, not-found, ...
        std::string active;  // active, inactive, failed, activating, deactivating
        std::string sub;
    };

    /// Throws where no manager answers by `deadline`.
    Manager(const std::string& runtime_directory, bus::Deadline deadline);

    /// False if what it starts would have other groups than this process: since
    /// usermod(8), newgrp(1) or sg(1), a manager keeps those of its login.
    bool has_our_groups() const;

    /// Each queues a job and returns its object path. A start never replaces
    /// a queued stop: that fails with k_destructive.
    std::string start(const std::string& unit) { return queue("StartUnit", unit, "fail"); }
    std::string restart(const std::string& unit) { return queue("RestartUnit", unit, "fail"); }
    std::string stop(const std::string& unit) { return queue("StopUnit", unit, "replace"); }
    /// Queues a start and does not wait for the answer.
    void start_unattended(const std::string& unit);

    /// Waits until `job` is over; "done" is success.
    std::string wait_for(const std::string& job, bus::Deadline deadline);

    /// Of a unit that is not loaded: nothing happens.
    void reset_failed(const std::string& unit);
    bool is_loaded(const std::string& unit);
    void reload();
    /// Where it looks for unit files, in this order.
    std::vector<std::string> unit_path();
    /// Is there a unit file of that name?
    bool has_file(const std::string& unit);
    /// Makes or removes the links that [Install] asks for; until the manager ends, if `runtime`. A reload is
    /// due.
    void enable(const std::string& unit, bool runtime);
    void disable(const std::string& unit, bool runtime);
    std::vector<Unit> list(const std::vector<std::string>& patterns);

 private:
    static int on_job_removed(sd_bus_message* message, void* over, sd_bus_error* error);
    void subscribe(bool through_bus);
    std::string queue(const char* method, const std::string& unit, const char* mode);

    bus::Bus bus_;
    std::unique_ptr<std::map<std::string, std::string>> over_;  // job: how it ended
    bus::Slot removed_;
};

}  // namespace quicken
