#include "explain.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/blind.hpp"
#include "common/error.hpp"
#include "common/text.hpp"
#include "findings.hpp"
#include "supervisor.hpp"
#include "trace.hpp"

namespace quicken::server {

namespace {

using Json = nlohmann::ordered_json;

const char* name_of(control::Rung rung) {
    return rung == control::Rung::prelude ? "prelude" : "interpreter";
}

/// By name.
Json variables_of(const Trace& trace) {
    std::vector<std::string> texts = trace.rest().variables;
    std::sort(texts.begin(), texts.end());
    Json variables = Json::object();
    for (const std::string_view text : texts) {
        std::string_view value = text;
        const std::string name(take_until(value, '='));
        variables[name] = name.size() == text.size() ? Json() : Json(value);
    }
    return variables;
}

/// Names that were asked for in a directory and found under no suffix.
std::vector<std::string> absent_in(const TracedDirectory& directory) {
    Stems missing = directory.stems;
    if (directory.all) missing.clear();
    for (std::string_view rest = directory.found; !rest.empty();) {
        if (const auto found = missing.find(stem_of(take_until(rest, '/'))); found != missing.end())
            missing.erase(found);
    }
    std::vector<std::string> absent;
    for (const std::string& stem : missing) absent.push_back(directory.path + "/" + stem);
    return absent;
}

void add_paths(Json& section, const Trace& trace) {
    std::vector<std::string> files, directories, absent;
    for (const TracedFile& file : trace.files()) {
        (file.identity == trace::Identity{} ? absent : files).push_back(file.path);
    }
    for (const TracedDirectory& directory : trace.directories()) {
        directories.push_back(directory.path);
        for (std::string& path : absent_in(directory)) absent.push_back(std::move(path));
    }
    for (auto& [key, paths] : {std::pair<const char*, std::vector<std::string>&>{"files", files},
                               {"directories", directories},
                               {"absent", absent}}) {
        std::sort(paths.begin(), paths.end());
        section[key] = paths.size();
        section["paths"][key] = paths;
    }
}

/// How many paths every spare looks at, as nobody is told of changes there.
std::size_t checked_by_stat(const Trace& trace, bool all) {
    std::map<dev_t, bool> systems;
    const auto is_checked = [&systems](std::string path) {
        struct stat status {};
        while (stat(path.c_str(), &status) != 0 && path.size() > 1) {
            path.resize(std::max<std::size_t>(path.rfind('/'), 1));  // of what is not there where it would be
        }
        const auto [known, added] = systems.emplace(status.st_dev, false);
        if (added) known->second = is_blind_system(path.c_str());
        return known->second;
    };
    std::size_t count = 0;
    for (const TracedFile& file : trace.files()) count += all || is_checked(file.path) ? 1 : 0;
    for (const TracedDirectory& each : trace.directories()) count += all || is_checked(each.path) ? 1 : 0;
    return count;
}

/// Empty if the template has sent none, or none that can be read.
Json report_of(const Trace& trace) {
    Json report = Json::parse(trace.rest().report, nullptr, false);
    return report.is_object() ? report : Json::object();
}

Json section_of(const Finding& finding, const std::string& reason, bool blind) {
    Json section{{"rung", name_of(finding.rung)}, {"reason", reason}};
    Trace trace;
    if (finding.trace) {
        try {
            trace = Trace::read(finding.trace);
        } catch (const Error& error) {
            section["error"] = error.what();
        }
    }
    const TracedRest& rest = trace.rest();
    section["variables"] = variables_of(trace);
    section["whole_environment"] = rest.everything;
    section["terminal"] = rest.terminal;
    section["size"] = rest.size;
    section["cwd"] = rest.cwd;
    section["argv0"] = rest.name;
    section["modules_in_advance"] = rest.modules;
    section["checked_by_stat"] = checked_by_stat(trace, blind);
    section.update(report_of(trace));
    add_paths(section, trace);
    return section;
}

Json stale_of(const History& history) {
    Json events = Json::array();
    for (const History::Event& event : history.events()) {
        events.push_back({{"time", static_cast<double>(event.time) / 1e6}, {"reason", event.reason}});
    }
    return events;
}

}  // namespace

std::string explain(const Supervisor& supervisor) {
    const bool blind = !supervisor.blind().empty();
    Json templates = Json::array(), given_up = Json::array();
    const auto add_given_up = [&](const Findings& findings) {
        for (const Finding* each : findings.given_up())
            given_up.push_back(section_of(*each, each->reason, blind));
    };
    for (const auto& variant : supervisor.variants().all()) {
        const Finding* ready = variant->findings()->ready();
        if (variant->state() != Variant::State::ready || ready == nullptr) continue;
        // A shared interpreter leaves out modules on the top rung.
        const bool top = ready->rung == control::Rung::prelude && variant->program().preloads().empty();
        Json section = section_of(*ready, top ? std::string() : variant->reason(), blind);
        section["commands_run"] = variant->pool().commands_run();
        templates.push_back(section);
        add_given_up(*variant->findings());
    }
    if (const Findings* last = supervisor.given_up()) add_given_up(*last);
    const Json all{{"state", supervisor.state_name()},
                   {"reason", supervisor.reason()},
                   {"commands_run", supervisor.variants().commands_run()},
                   {"changes", blind ? "stat" : "inotify"},
                   {"blind", supervisor.blind()},
                   {"made_stale", stale_of(supervisor.history())},
                   {"templates", templates},
                   {"given_up", given_up}};
    return all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace quicken::server
