// Activation by the user manager.
//
// The drop-ins are there before the unit is first loaded, so that no
// daemon-reload is needed; the socket listens once its job is "done". The
// service is asked for in the same breath, as its start takes longer than the
// way back to the client.
//
// Two activators at once: the manager merges their jobs, both see "done".
// An activator during `quickenctl stop`: its start would have to replace a
// queued stop, and fails; the program is then run plainly, since a server that
// we started ourselves would lose its socket to the manager's clean-up.
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "activate/activation.hpp"
#include "common/manager.hpp"

namespace quicken {
namespace {

constexpr const char* k_templates[] = {"quicken@.socket", "quicken@.service"};

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

/// For a prefix where systemd does not look: our templates become runtime units.
void link_templates(const std::string& runtime_directory, const std::string& prefix) {
    for (const char* name : k_templates) {
        const std::string source = prefix + "/lib/systemd/user/" + name;
        const std::string link = dropin::unit_directory(runtime_directory) + "/" + name;
        const std::string temporary = link + "." + std::to_string(::getpid());
        if (!exists(source)) {
            throw Error("find the unit", source, ENOENT);
        }
        if (::symlink(source.c_str(), temporary.c_str()) != 0) {
            throw_errno("make the link", temporary);
        }
        if (::rename(temporary.c_str(), link.c_str()) != 0) {
            const int error = errno;
            ::unlink(temporary.c_str());
            throw Error("make the link", link, error);
        }
    }
}

std::string start_socket(Manager& manager, const Activation& a) {
    const std::string unit = dropin::socket_unit(a.id);
    const std::string runtime_directory = a.directory.runtime_directory();
    for (int attempt = 0;; ++attempt) {
        try {
            return manager.start(unit);
        } catch (const bus::CallError& error) {
            if (error.name() == k_destructive) {
                throw Hopeless(unit + " is being stopped");
            }
            if (error.name() != k_no_such_unit || attempt == 2) {
                throw;
            }
        }
        if (attempt == 0) {
            link_templates(runtime_directory, a.prefix);
        } else {
            manager.reload();
        }
    }
}

void expect_done(const std::string& unit, const std::string& result) {
    if (result != "done") {
        throw Error("the start of " + unit + " ended with \"" + result + "\"; see systemctl --user status " +
                    unit);
    }
}

/// Starts the socket; once more if that fails, with the failures forgotten.
void start(Manager& manager, const Activation& a) {
    const std::string socket = dropin::socket_unit(a.id);
    const std::string service = dropin::service_unit(a.id);
    // A start limit that was hit earlier must not refuse this run: each client
    // asks once only, so nothing can loop through here.
    manager.reset_failed(service);
    const std::string job = start_socket(manager, a);
    manager.start_unattended(service);
    if (manager.wait_for(job, a.deadline) == "done") {
        return;
    }
    manager.reset_failed(service);
    manager.reset_failed(socket);
    expect_done(socket, manager.wait_for(start_socket(manager, a), a.deadline));
}

/// Where somebody removed the path, the manager still holds a socket that
/// nobody finds, and its start does nothing.
void bind_anew_if_lost(Manager& manager, const Activation& a) {
    if (exists(a.directory.socket(a.id))) {
        return;
    }
    const std::string socket = dropin::socket_unit(a.id);
    expect_done(socket, manager.wait_for(manager.restart(socket), a.deadline));
}

}  // namespace

void activate_by_systemd(const Activation& a) {
    const std::string runtime_directory = a.directory.runtime_directory();
    if (runtime_directory.empty()) {
        throw Error("the user's service manager makes no socket in " + a.directory.path());
    }
    const Fd lock = a.directory.lock(LOCK_SH, a.deadline);
    Manager manager(runtime_directory, a.deadline);
    if (!manager.has_our_groups()) {
        throw Error("the user's service manager has other groups than this process");
    }
    const bool changed =
        dropin::write(runtime_directory, a.id, a.subject, a.prefix + "/libexec/quicken/quicken-server");
    if (changed && manager.is_loaded(dropin::service_unit(a.id))) {
        manager.reload();
    }
    start(manager, a);
    bind_anew_if_lost(manager, a);
}

}  // namespace quicken
