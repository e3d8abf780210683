// The units of scripts that systemd starts at their first request:
// quicken-serve@NAME.socket and .service, each with a drop-in that says what NAME is.
//
// They are written where the user's units are, so that they outlast a login;
// where the manager does not look there, in its runtime directory, until it ends. Whatever
// fails after the first file was written is undone: a name is either enabled and listens, or is what it was
// before, which may be enabled with other settings; else nothing is left of it. One at a time changes them
// (flock(2) of the directory), so what is put back is nobody else's work.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "common/directory.hpp"
#include "common/dropin.hpp"
#include "common/error.hpp"
#include "common/fd.hpp"
#include "common/manager.hpp"
#include "common/serve_bus.hpp"
#include "common/target.hpp"
#include "ctl/serve.hpp"
#include "ctl/serve_dropins.hpp"

namespace quicken::ctl {

namespace {

namespace fs = std::filesystem;

constexpr char k_unit[] = "quicken-serve@";
constexpr std::chrono::seconds k_limit{60};  // for all that is asked of the manager: a stop lets requests end

std::string runtime_directory() {
    std::array<char, PATH_MAX> text{};
    if (!socket_directory(environ, text.data(), text.size()))
        throw Error("XDG_RUNTIME_DIR is not an absolute path, or too long");
    const fs::path path = text.data();
    return path.parent_path();
}

std::string config_directory() {
    const char* config = std::getenv("XDG_CONFIG_HOME");
    if (config != nullptr && *config == '/') return std::string(config) + "/systemd/user";
    const char* home = std::getenv("HOME");
    return home != nullptr && *home == '/' ? std::string(home) + "/.config/systemd/user" : "";
}

/// Where files of ours are, and whether they go with the manager.
struct Home {
    std::string directory;
    bool runtime;
};

std::vector<Home> homes() {
    std::vector<Home> result;
    if (const std::string config = config_directory(); !config.empty()) result.push_back({config, false});
    result.push_back({dropin::unit_directory(runtime_directory()), true});
    return result;
}

std::string directory_of(const Home& home, const std::string& name, const char* kind) {
    return home.directory + "/" + k_unit + name + kind + ".d";
}

std::string unit_of(const std::string& name, const char* kind) {
    return k_unit + name + kind;
}

std::vector<std::string> values_of(const std::string& text, const std::string& key) {
    std::vector<std::string> values;
    for (std::size_t at = 0; (at = text.find("\n" + key + "=", at)) != std::string::npos; ++at) {
        const std::size_t begin = at + key.size() + 2;
        values.push_back(text.substr(begin, text.find('\n', begin) - begin));
    }
    return values;
}

std::vector<ServeUnit> units_in(const Home& home) {
    constexpr std::string_view k_end = ".service.d";
    std::vector<ServeUnit> found;
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(home.directory, missing)) {
        const std::string file = entry.path().filename();
        if (!file.starts_with(k_unit) || !file.ends_with(k_end)) continue;
        const std::string name =
            file.substr(sizeof k_unit - 1, file.size() - (sizeof k_unit - 1) - k_end.size());
        const auto service = dropin::content(entry.path());
        const auto socket = dropin::content(directory_of(home, name, ".socket"));
        if (!service || !socket) continue;
        found.push_back({name, dropin::value_of(*service, "Name"), values_of(*socket, "ListenStream")});
    }
    return found;
}

// Links to the templates

/// For a prefix where systemd does not look.
void link_templates(Manager& manager, const Home& home) {
    for (const char* kind : {".socket", ".service"}) {
        const std::string name = std::string(k_unit) + kind;
        const std::string source = own_prefix() + "/lib/systemd/user/" + name;
        const std::string link = home.directory + "/" + name;
        struct stat status {};
        const bool ours = lstat(link.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
        if (!ours && manager.has_file(name)) continue;
        if (access(source.c_str(), F_OK) != 0) throw_errno("find the unit", source);
        if (ours) unlink(link.c_str());
        if (symlink(source.c_str(), link.c_str()) != 0) throw_errno("make the link", link);
    }
}

/// Only links to our own: nobody else's file.
void unlink_templates(const Home& home) {
    if (!units_in(home).empty()) return;
    for (const char* kind : {".socket", ".service"}) {
        std::error_code none;
        const fs::path link = home.directory + "/" + k_unit + kind;
        const fs::path target = fs::read_symlink(link, none);
        if (!none && target.filename() == link.filename()) unlink(link.c_str());
    }
}

// What the manager does

Manager connect() {
    const std::string directory = runtime_directory();
    try {
        return {directory, bus::Clock::now() + k_limit};
    } catch (const Error& error) {
        throw Error(std::string("there is no service manager of the user's (systemd --user): ") +
                    error.what());
    }
}

Home home_for(Manager& manager) {
    const std::vector<std::string> paths = manager.unit_path();
    for (const Home& home : homes()) {
        if (std::find(paths.begin(), paths.end(), home.directory) != paths.end()) return home;
    }
    throw Error("the user's service manager reads no units of its user");
}

void stop_units(Manager& manager, const std::string& name) {
    // The socket first: nothing can start the service then.
    for (const char* kind : {".socket", ".service"}) {
        const std::string unit = unit_of(name, kind);
        if (!manager.is_loaded(unit)) continue;
        try {
            manager.wait_for(manager.stop(unit), bus::Clock::now() + k_limit);
        } catch (const bus::CallError& error) {
            // What it could not read, or has no file any more, does not run.
            if (error.name() != k_no_such_unit) throw;
        }
        manager.reset_failed(unit);
    }
}

void remove(Manager& manager, const Home& home, const std::string& name) {
    stop_units(manager, name);
    // It may not have come to the links by which there is such a unit.
    if (manager.has_file(unit_of(name, ".socket"))) manager.disable(unit_of(name, ".socket"), home.runtime);
    for (const char* kind : {".socket", ".service"}) dropin::remove_directory(directory_of(home, name, kind));
    unlink_templates(home);
    manager.reload();
}

void start_socket(Manager& manager, const std::string& name) {
    const std::string unit = unit_of(name, ".socket");
    const std::string result = manager.wait_for(manager.start(unit), bus::Clock::now() + k_limit);
    if (result != "done")
        throw Error("the start of " + unit + " ended with \"" + result +
                    "\": is it used already? See systemctl --user status " + unit);
}

void set_up(Manager& manager, const Home& home, const std::string& name, const Dropins& dropins,
            bool starts) {
    stop_units(manager, name);
    dropin::update(directory_of(home, name, ".socket"), dropins.socket);
    dropin::update(directory_of(home, name, ".service"), dropins.service);
    link_templates(manager, home);
    manager.reload();
    manager.enable(unit_of(name, ".socket"), home.runtime);
    manager.reload();
    if (starts) start_socket(manager, name);
}

bool is_active(Manager& manager, const std::string& unit) {
    const auto units = manager.list({unit});
    return !units.empty() && units.front().active == "active";
}

/// How a name was enabled before; nothing if it was not.
struct Former {
    std::optional<Dropins> dropins;
    bool listened = false;  // its socket was not stopped
};

Former former_of(Manager& manager, const Home& home, const std::string& name) {
    const auto socket = dropin::content(directory_of(home, name, ".socket"));
    const auto service = dropin::content(directory_of(home, name, ".service"));
    if (!socket || !service) return {};
    return {Dropins{*socket, *service}, is_active(manager, unit_of(name, ".socket"))};
}

/// Returns what is to be said of that, behind why it is done.
std::string put_back(Manager& manager, const Home& home, const std::string& name, const Former& former) {
    try {
        if (!former.dropins) {
            remove(manager, home, name);
            return "";
        }
        set_up(manager, home, name, *former.dropins, former.listened);
        return "; " + name + " is enabled as it was before";
    } catch (const std::exception& error) {
        return std::string("; then, when all was put back: ") + error.what();
    }
}

/// Until it is closed nobody else changes units there.
Fd lock(const Home& home) {
    Fd directory(open(home.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || flock(directory.get(), LOCK_EX) != 0) throw_errno("lock", home.directory);
    return directory;
}

}  // namespace

std::vector<ServeUnit> serve_units() {
    std::vector<ServeUnit> all;
    for (const Home& home : homes()) {
        for (ServeUnit& unit : units_in(home)) all.push_back(std::move(unit));
    }
    return all;
}

std::vector<ServeUnit> find_serve_units(const std::string& script) {
    const std::string path = serve_bus::absolute_name(script);
    std::vector<ServeUnit> found;
    for (ServeUnit& unit : serve_units()) {
        if (unit.name == script) return {std::move(unit)};
        if (unit.script == path) found.push_back(std::move(unit));
    }
    return found;
}

std::optional<ServeUnit> find_serve_unit(const std::string& script) {
    const std::vector<ServeUnit> found = script.empty() ? std::vector<ServeUnit>() : find_serve_units(script);
    if (found.size() > 1) {
        std::string names;
        for (const ServeUnit& unit : found) names += (names.empty() ? "" : ", ") + unit.name;
        throw Error(script + " is enabled more than once; name one of " + names);
    }
    return found.empty() ? std::nullopt : std::optional(found.front());
}

bool listens(const ServeUnit& unit) {
    try {
        Manager manager = connect();
        return is_active(manager, unit_of(unit.name, ".socket"));
    } catch (const Error&) {
        return false;
    }
}

int enable_serve(const ServeOptions& options) {
    check(options);
    const std::string name = name_of(options);
    const Dropins dropins = make_dropins(options);
    Manager manager = connect();
    const Home home = home_for(manager);
    std::error_code failed;
    if (fs::create_directories(home.directory, failed); failed)
        throw Error("make the directory", home.directory, failed.value());
    const Fd locked = lock(home);
    for (const ServeUnit& known : find_serve_units(name)) {
        if (known.name == name && known.script != serve_bus::absolute_name(options.script))
            throw Error(name + " is " + known.script + " already; choose another --name");
    }
    const Former former = former_of(manager, home, name);
    try {
        set_up(manager, home, name, dropins, true);
    } catch (const std::exception& error) {
        throw Error(error.what() + put_back(manager, home, name, former));
    }
    for (const std::string& listen : listens_of(options)) fmt::print("{} {}\n", name, listen);
    if (home.runtime) fmt::print("until the user's service manager ends\n");
    return 0;
}

int disable_serve(const std::string& script) {
    const auto unit = find_serve_unit(script);
    if (!unit) throw Error(script + " is not enabled; quickenctl serve list");
    Manager manager = connect();
    for (const Home& home : homes()) {
        if (!dropin::content(directory_of(home, unit->name, ".service"))) continue;
        const Fd locked = lock(home);
        remove(manager, home, unit->name);
    }
    return 0;
}

bool stop_serve_unit(const ServeUnit& unit) {
    Manager manager = connect();
    if (!manager.is_loaded(unit_of(unit.name, ".socket"))) return false;
    stop_units(manager, unit.name);
    return true;
}

}  // namespace quicken::ctl
