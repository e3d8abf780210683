#include "ctl/serve.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/bus.hpp"
#include "common/directory.hpp"
#include "common/error.hpp"
#include "common/serve_bus.hpp"
#include "common/target.hpp"
#include "ctl/output.hpp"

namespace quicken::ctl {

namespace {

using nlohmann::ordered_json;

constexpr std::chrono::seconds k_reload{90};  // a new process has 60 to serve

struct Running {
    std::string path;
    ordered_json status;

    std::string text(const char* name) const { return status.value(name, ""); }
};

bus::Message call(const std::string& path, const char* method, std::chrono::microseconds limit) {
    const bus::Bus bus = bus::connect_peer(path, bus::Clock::now() + bus::k_call_timeout);
    sd_bus_message* raw = nullptr;
    int result = sd_bus_message_new_method_call(bus.get(), &raw, nullptr, serve_bus::k_object,
                                                serve_bus::k_interface, method);
    const bus::Message request(raw);
    bus::ErrorReply error;
    sd_bus_message* answer = nullptr;
    if (result >= 0) {
        result = sd_bus_call(bus.get(), raw, static_cast<std::uint64_t>(limit.count()), error.get(), &answer);
    }
    bus::Message reply(answer);
    if (result < 0) throw bus::CallError(method, *error.get(), result);
    return reply;
}

/// Of one that has ended without removing its socket: nothing.
std::optional<Running> look_at(const std::string& path) {
    try {
        const auto reply = call(path, "Status", bus::k_call_timeout);
        const char* text = nullptr;
        if (sd_bus_message_read(reply.get(), "s", &text) < 0) return std::nullopt;
        return Running{path, ordered_json::parse(text)};
    } catch (const std::exception&) {
        return std::nullopt;  // or one that does not answer: it cannot be told anything either
    }
}

/// What supervisors that were killed have left. Under the lock: who binds its socket just now does so too.
void remove_dead(const std::string& path) {
    const Directory directory = Directory::open(path);
    if (directory.fd() < 0) return;
    const Fd lock = directory.lock(LOCK_EX, bus::Clock::now() + bus::k_call_timeout);
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(path, missing)) {
        if (entry.path().extension() == serve_bus::k_suffix && !is_listening(entry.path()))
            unlink(entry.path().c_str());
    }
}

std::vector<Running> running() {
    std::array<char, PATH_MAX> directory{};
    if (!socket_directory(environ, directory.data(), directory.size()))
        throw Error("XDG_RUNTIME_DIR is not an absolute path, or too long");
    remove_dead(directory.data());
    std::vector<Running> found;
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(directory.data(), missing)) {
        if (entry.path().extension() != serve_bus::k_suffix) continue;
        if (auto one = look_at(entry.path())) found.push_back(std::move(*one));
    }
    std::sort(found.begin(), found.end(),
              [](const Running& a, const Running& b) { return a.text("script") < b.text("script"); });
    return found;
}

std::vector<Running> meant(const std::string& text) {
    std::vector<Running> all = running();
    if (text.empty()) return all;
    const auto units = find_serve_units(text);
    const std::string path = units.empty() ? serve_bus::absolute_name(text) : units.front().script;
    std::erase_if(all, [&](const Running& one) {
        return one.text("script") != path && !(text.size() >= 4 && one.text("id").starts_with(text));
    });
    return all;
}

Running only_one(const std::string& text) {
    std::vector<Running> found = meant(text);
    if (found.empty()) throw Error(text.empty() ? "nothing is served" : text + " is not served");
    if (found.size() > 1)
        throw Error("more than one is meant; name its script, or its id: quickenctl serve list");
    return found.front();
}

/// Of one that does not run.
ordered_json status_of(const ServeUnit& unit) {
    return {{"script", unit.script},
            {"state", listens(unit) ? "waiting" : "stopped"},
            {"addresses", unit.listens}};
}

std::string joined(const ordered_json& list, const std::string& separator) {
    std::string text;
    for (const auto& item : list) text += (text.empty() ? "" : separator) + item.get<std::string>();
    return text;
}

void show_common(const ordered_json& status, const std::string& arguments) {
    row("script", join(status.value("script", ""), arguments));
    row("state", status.value("state", ""));
    row("addresses", joined(status["addresses"], ", "));
}

int show_status(const ServeOptions& options) {
    if (meant(options.script).empty()) {
        if (const auto unit = find_serve_unit(options.script)) {
            const ordered_json status = status_of(*unit);
            options.json ? print(status) : show_common(status, "");
            return 0;
        }
    }
    const Running one = only_one(options.script);
    if (options.json) {
        print(one.status);
        return 0;
    }
    show_common(one.status, joined(one.status["arguments"], " "));
    row("process",
        fmt::format("{} (supervisor {})", one.status.value("pid", 0), one.status.value("supervisor", 0)));
    if (const double since = one.status.value("since", 0.0); since > 0)
        row("since", join(moment(static_cast<std::uint64_t>(since * 1e6)),
                          fmt::format("{} reloads", one.status.value("reloads", 0))));
    row("last error", one.text("last_error"));
    row("id", one.text("id"));
    return 0;
}

int show_list(const ServeOptions& options) {
    const std::vector<Running> all = running();
    ordered_json list = ordered_json::array();
    for (const Running& one : all) list.push_back(one.status);
    for (const ServeUnit& unit : serve_units()) {
        const bool runs = std::any_of(all.begin(), all.end(), [&](const Running& one) {
            return one.text("script") == unit.script && one.status.value("activated", false);
        });
        if (!runs) list.push_back(status_of(unit));
    }
    if (options.json) {
        print(list);
        return 0;
    }
    for (const auto& one : list) {
        fmt::print("{:<10} {} {}\n", one.value("state", ""), one.value("script", ""),
                   joined(one["addresses"], ", "));
    }
    return 0;
}

int reload(const ServeOptions& options) {
    const Running one = only_one(options.script);
    try {
        call(one.path, "Reload", k_reload);
    } catch (const bus::CallError& error) {
        if (error.name() != serve_bus::k_reload_failed) throw;
        throw Error(std::string(error.what()).substr(sizeof "Reload: " - 1));
    }
    return 0;
}

int stop(const ServeOptions& options) {
    if (const auto unit = find_serve_unit(options.script)) {
        // The socket too: else the next request would start it again.
        if (stop_serve_unit(*unit)) return 0;
    }
    call(only_one(options.script).path, "Stop", bus::k_call_timeout);
    return 0;
}

}  // namespace

int serve(const ServeOptions& options) {
    if (options.action == "enable") return enable_serve(options);
    if (options.action == "disable") return disable_serve(options.script);
    if (options.action == "status") return show_status(options);
    if (options.action == "stop") return stop(options);
    return options.action == "list" ? show_list(options) : reload(options);
}

}  // namespace quicken::ctl
