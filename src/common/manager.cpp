#include "common/manager.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace quicken {
namespace {

constexpr char k_name[] = "org.freedesktop.systemd1";
constexpr char k_object[] = "/org/freedesktop/systemd1";
constexpr char k_manager[] = "org.freedesktop.systemd1.Manager";

void check(int result, std::string_view attempt) {
    if (result < 0) {
        throw Error(attempt, "the user's service manager", -result);
    }
}

std::vector<gid_t> our_groups() {
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    groups.resize(static_cast<std::size_t>(std::max(count, 0)));
    std::sort(groups.begin(), groups.end());
    return groups;
}

bus::Message call(sd_bus& bus, const std::string& attempt, const char* method, const char* types,
                  auto... values) {
    bus::ErrorReply error;
    sd_bus_message* raw = nullptr;
    const int result =
        sd_bus_call_method(&bus, k_name, k_object, k_manager, method, error.get(), &raw, types, values...);
    bus::Message reply(raw);
    if (result < 0) {
        throw bus::CallError(attempt, *error.get(), result);
    }
    return reply;
}

}  // namespace

Manager::Manager(const std::string& runtime_directory, bus::Deadline deadline)
    : over_(std::make_unique<std::map<std::string, std::string>>()) {
    try {
        bus_ = bus::connect_peer(runtime_directory + "/systemd/private", deadline);
    } catch (const Error&) {
        // The session bus is the documented way, and its error the one to show.
        bus_ = bus::connect_bus(runtime_directory + "/bus", deadline);
        subscribe(true);
        return;
    }
    subscribe(false);
}

void Manager::subscribe(bool through_bus) {
    sd_bus_slot* raw = nullptr;
    check(sd_bus_match_signal(bus_.get(), &raw, through_bus ? k_name : nullptr, k_object, k_manager,
                              "JobRemoved", on_job_removed, over_.get()),
          "listen to");
    removed_.reset(raw);
    if (through_bus) {
        call(*bus_, "listen to the user's service manager", "Subscribe", "");
    }
}

int Manager::on_job_removed(sd_bus_message* message, void* over, sd_bus_error* /*error*/) {
    const char* job = nullptr;
    const char* result = nullptr;
    if (const int r = sd_bus_message_read(message, "uoss", nullptr, &job, nullptr, &result); r < 0) {
        return r;
    }
    (*static_cast<std::map<std::string, std::string>*>(over))[job] = result;
    return 0;
}

bool Manager::has_our_groups() const {
    // Of the process that made the listening socket: unix(7). Where the kernel
    // does not tell, the server finds out and refuses.
    const int fd = sd_bus_get_fd(bus_.get());
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.gid != ::getegid()) {
        return false;
    }
    constexpr std::size_t k_max_groups = 65536;  // NGROUPS_MAX
    std::vector<gid_t> theirs(k_max_groups);
    size = static_cast<socklen_t>(theirs.size() * sizeof(gid_t));
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, theirs.data(), &size) != 0) {
        return true;
    }
    theirs.resize(size / sizeof(gid_t));
    std::sort(theirs.begin(), theirs.end());
    return theirs == our_groups();
}

std::string Manager::queue(const char* method, const std::string& unit, const char* mode) {
    const auto reply = call(*bus_, std::string(method) + " " + unit, method, "ss", unit.c_str(), mode);
    const char* job = nullptr;
    check(sd_bus_message_read(reply.get(), "o", &job), "understand");
    return job;
}

void Manager::start_unattended(const std::string& unit) {
    check(sd_bus_call_method_async(bus_.get(), nullptr, k_name, k_object, k_manager, "StartUnit", nullptr,
                                   nullptr, "ss", unit.c_str(), "fail"),
          "call");
}

std::string Manager::wait_for(const std::string& job, bus::Deadline deadline) {
    for (;;) {
        if (const auto found = over_->find(job); found != over_->end()) {
            return found->second;
        }
        bus::process(*bus_, deadline, "the user's service manager");
    }
}

void Manager::reset_failed(const std::string& unit) {
    try {
        call(*bus_, "ResetFailedUnit " + unit, "ResetFailedUnit", "s", unit.c_str());
    } catch (const bus::CallError& error) {
        if (error.name() != k_no_such_unit) {
            throw;
        }
    }
}

bool Manager::is_loaded(const std::string& unit) {
    try {
        call(*bus_, "GetUnit " + unit, "GetUnit", "s", unit.c_str());
    } catch (const bus::CallError& error) {
        if (error.name() == k_no_such_unit) {
            return false;
        }
        throw;
    }
    return true;
}

void Manager::reload() {
    call(*bus_, "reload the user's service manager", "Reload", "");
}

std::vector<std::string> Manager::unit_path() {
    bus::ErrorReply error;
    char** raw = nullptr;
    const int result =
        sd_bus_get_property_strv(bus_.get(), k_name, k_object, k_manager, "UnitPath", error.get(), &raw);
    if (result < 0) {
        throw bus::CallError("ask for the paths of units", *error.get(), result);
    }
    std::vector<std::string> paths;
    for (char** path = raw; path != nullptr && *path != nullptr; ++path) {
        paths.emplace_back(*path);
        std::free(*path);
    }
    std::free(raw);
    return paths;
}

bool Manager::has_file(const std::string& unit) {
    try {
        call(*bus_, "GetUnitFileState " + unit, "GetUnitFileState", "s", unit.c_str());
    } catch (const bus::CallError& error) {
        if (error.code() == ENOENT || error.name() == "org.freedesktop.DBus.Error.FileNotFound") {
            return false;
        }
        throw;
    }
    return true;
}

void Manager::enable(const std::string& unit, bool runtime) {
    call(*bus_, "enable " + unit, "EnableUnitFiles", "asbb", 1, unit.c_str(), runtime ? 1 : 0, 0);
}

void Manager::disable(const std::string& unit, bool runtime) {
    call(*bus_, "disable " + unit, "DisableUnitFiles", "asb", 1, unit.c_str(), runtime ? 1 : 0);
}

std::vector<Manager::Unit> Manager::list(const std::vector<std::string>& patterns) {
    sd_bus_message* raw = nullptr;
    check(
        sd_bus_message_new_method_call(bus_.get(), &raw, k_name, k_object, k_manager, "ListUnitsByPatterns"),
        "ask");
    const bus::Message request(raw);
    std::vector<char*> names;
    for (const auto& pattern : patterns) {
        names.push_back(const_cast<char*>(pattern.c_str()));  // sd-bus only reads them
    }
    names.push_back(nullptr);
    check(sd_bus_message_append_strv(raw, nullptr), "ask");
    check(sd_bus_message_append_strv(raw, names.data()), "ask");

    bus::ErrorReply error;
    sd_bus_message* answer = nullptr;
    const int result = sd_bus_call(bus_.get(), raw, 0, error.get(), &answer);
    const bus::Message reply(answer);
    if (result < 0) {
        throw bus::CallError("list the units of the user's service manager", *error.get(), result);
    }
    std::vector<Unit> units;
    check(sd_bus_message_enter_container(answer, 'a', "(ssssssouso)"), "understand");
    const char *name = nullptr, *load = nullptr, *active = nullptr, *sub = nullptr;
    int more = 0;
    while ((more = sd_bus_message_read(answer, "(ssssssouso)", &name, nullptr, &load, &active, &sub, nullptr,
                                       nullptr, nullptr, nullptr, nullptr)) > 0) {
        units.push_back({name, load, active, sub});
    }
    check(more, "understand");
    return units;
}

}  // namespace quicken
