// `quickenctl list`: every instance that left a socket or a unit.
#include <fmt/format.h>

#include <map>
#include <vector>

#include "common/error.hpp"
#include "ctl/commands.hpp"
#include "ctl/output.hpp"
#include "ctl/server.hpp"

namespace quicken::ctl {
namespace {

constexpr std::size_t k_short_id = 8;

struct Entry {
    std::string id;
    std::string status;  // up, idle, failed, mute, stale
    std::optional<Properties> properties;
    std::optional<dropin::Subject> subject;
};

std::map<std::string, std::string> unit_states(const Place& place) {
    std::map<std::string, std::string> states;
    if (place.manager) {
        for (const auto& unit : place.manager->list({"quicken@*.socket", "quicken@*.service"})) {
            states[unit.name] = unit.active;
        }
    }
    return states;
}

std::string status_without_server(const Place& place, const std::string& id,
                                  const std::map<std::string, std::string>& units) {
    if (is_listening(place.directory.socket(id))) {
        return "idle";  // also after a server failed: the next run starts one
    }
    for (const auto& unit : {dropin::socket_unit(id), dropin::service_unit(id)}) {
        if (const auto found = units.find(unit); found != units.end() && found->second == "failed") {
            return "failed";
        }
    }
    return "stale";
}

Entry look_at(const Place& place, const std::string& id, const std::map<std::string, std::string>& units) {
    Entry entry{id, "", std::nullopt, dropin::read(place.directory.runtime_directory(), id)};
    try {
        if (auto server = Server::connect(place.directory.control(id))) {
            entry.properties = server->properties();
        }
    } catch (const Error&) {
        // One server that does not answer must not hide the others.
        entry.status = "mute";
        return entry;
    }
    entry.status = entry.properties ? "up" : status_without_server(place, id, units);
    return entry;
}

nlohmann::ordered_json to_json(const Entry& entry) {
    if (entry.properties) {
        return to_json(*entry.properties);
    }
    nlohmann::ordered_json value{{"status", entry.status}, {"instance", entry.id}};
    if (entry.subject) {
        value["what"] = entry.subject->what;
        value["name"] = entry.subject->name;
        value["directory"] = entry.subject->directory;
        value["interpreter"] = entry.subject->interpreter;
    }
    return value;
}

void print_row(const Entry& entry) {
    const auto& p = entry.properties;
    // A server that has had no request yet does not know what it serves.
    const bool knows = p && (!p->name.empty() || p->what == "python");
    std::string serves = knows ? subject_of(*p) : entry.subject ? describe(*entry.subject) : "?";
    const std::string interpreter = knows ? p->interpreter : entry.subject ? entry.subject->interpreter : "";
    if (!interpreter.empty()) {
        serves += " (" + dropin::printable(interpreter) + ")";
    }
    fmt::print("{:<8}  {:<6}  {:>7}  {:>7}  {:>10}  {}\n", entry.id.substr(0, k_short_id), entry.status,
               p ? std::to_string(p->pid) : "-", p ? std::to_string(p->commands_running) : "-",
               p ? megabytes(p->memory) : "-", serves);
}

}  // namespace

int list(Place& place, bool json) {
    const auto units = unit_states(place);
    std::vector<Entry> entries;
    for (const auto& id : place.instances()) {
        entries.push_back(look_at(place, id, units));
    }
    if (json) {
        auto values = nlohmann::ordered_json::array();
        for (const auto& entry : entries) {
            values.push_back(to_json(entry));
        }
        print(values);
        return 0;
    }
    if (entries.empty()) {
        fmt::print("no instances\n");
        return 0;
    }
    fmt::print("{:<8}  {:<6}  {:>7}  {:>7}  {:>10}  {}\n", "INSTANCE", "STATE", "PID", "RUNNING", "MEMORY",
               "SERVES");
    for (const auto& entry : entries) {
        print_row(entry);
    }
    return 0;
}

}  // namespace quicken::ctl
