// `quickenctl explain`: what a server knows of its templates.
#include <fmt/format.h>

#include <array>
#include <cctype>

#include "ctl/commands.hpp"
#include "ctl/output.hpp"
#include "ctl/status.hpp"

namespace quicken::ctl {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t k_slowest = 10;
constexpr std::size_t k_width = 90;

bool is_secret(std::string name) {
    for (char& c : name) {
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    constexpr std::array<const char*, 5> k_words{"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD"};
    for (const char* word : k_words) {
        if (name.find(word) != std::string::npos) {
            return true;
        }
    }
    return false;
}

void hide(const std::string& name, Json& value) {
    if (value.is_string() && is_secret(name)) {
        value = "(hidden)";
    }
}

/// Of a template's section: what the options do not ask for.
void reduce(Json& section, const ExplainOptions& options) {
    if (!options.files) {
        section.erase("paths");
    }
    if (options.show_secrets) {
        return;
    }
    for (auto& [name, value] : section["variables"].items()) {
        hide(name, value);
    }
    if (!section.contains("left")) {
        return;
    }
    for (auto& [name, change] : section["left"]["environment"].items()) {
        for (Json& value : change) {
            hide(name, value);
        }
    }
}

// --- for people --------------------------------------------------------------------

/// The value under `key`, or what stands for it in an object of another version.
template <typename Type>
Type get(const Json& object, const char* key, Type other = {}) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? other : found->get<Type>();
}

std::string text_of(const Json& value) {
    return value.is_null() ? "not set" : dropin::printable(value.get<std::string>());
}

/// One row, and one more for each further line.
void rows(std::string_view label, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
        row(label, line);
        label = "";
    }
}

/// `names` as few lines.
std::vector<std::string> fill(const std::vector<std::string>& names) {
    std::vector<std::string> lines;
    for (const std::string& name : names) {
        if (lines.empty() || lines.back().size() + name.size() > k_width) {
            lines.emplace_back();
        }
        lines.back() += (lines.back().empty() ? "" : " ") + name;
    }
    return lines;
}

void print_variables(const Json& section) {
    std::vector<std::string> set, unset;
    for (const auto& [name, value] : section["variables"].items()) {
        const std::string shown = dropin::printable(name);
        value.is_null() ? unset.push_back(shown) : set.push_back(shown + "=" + text_of(value));
    }
    row("environment", get<bool>(section, "whole_environment") ? "all of it counts" : "");
    rows("variables", set);
    rows("not set", fill(unset));
}

std::vector<std::string> client_of(const Json& section) {
    std::vector<std::string> lines;
    for (const auto& [key, label] : {std::pair{"terminal", "which fds are terminals"},
                                     {"size", "size of the terminal"},
                                     {"cwd", "working directory"},
                                     {"argv0", "sys.argv[0]"}}) {
        if (const auto value = get<std::string>(section, key); !value.empty()) {
            lines.push_back(fmt::format("{}: {}", label, dropin::printable(value)));
        }
    }
    return lines;
}

std::vector<std::string> left_of(const Json& section) {
    std::vector<std::string> lines;
    if (!section.contains("left")) {
        return lines;
    }
    const Json& left = section["left"];
    for (const auto& [name, change] : left["environment"].items()) {
        lines.push_back(fmt::format("environment: {}: {} -> {}", dropin::printable(name), text_of(change[0]),
                                    text_of(change[1])));
    }
    for (const auto& [name, handler] : left["signals"].items()) {
        lines.push_back(fmt::format("signal handler: {}: {}", name, text_of(handler)));
    }
    if (const int threads = get<int>(left, "threads"); threads > 0) {
        lines.push_back(fmt::format("threads at the fork point: {}", threads));
    }
    if (const int functions = get<int>(left, "at_fork"); functions > 0) {
        lines.push_back(fmt::format("functions for forks: {}", functions));
    }
    return lines;
}

std::vector<std::string> imports_of(const Json& section) {
    std::vector<std::string> lines;
    const auto imports = get<Json>(section, "imports", Json::array());
    for (const Json& each : imports) {
        if (lines.size() < k_slowest) {
            lines.push_back(fmt::format("{:9.1f} ms  {}", each[1].get<double>() * 1e3, text_of(each[0])));
        }
    }
    return lines;
}

/// Modules that were imported before the program asks for them, if they are few.
std::vector<std::string> in_advance(const Json& section) {
    const auto names = get<Json>(section, "modules_in_advance", Json::array());
    if (names.size() > k_slowest) return {fmt::format("{} modules", names.size())};
    std::vector<std::string> lines;
    for (const Json& each : names) lines.push_back(text_of(each));
    return lines;
}

void print_paths(const Json& section) {
    const auto all = get<Json>(section, "paths", Json::object());
    for (const auto& [key, paths] : all.items()) {
        std::vector<std::string> lines;
        for (const Json& path : paths) {
            lines.push_back(text_of(path));
        }
        rows(key, lines);
    }
}

/// Of a template that serves, or of one that has given up.
void print_section(const Json& section, bool serves) {
    fmt::print("\n");
    row(serves ? "template" : "given up", join("after the " + get<std::string>(section, "rung"),
                                               dropin::printable(get<std::string>(section, "reason"))));
    if (const auto seconds = get<double>(section, "prelude_seconds"); seconds > 0) {
        row(serves ? "saves" : "took", fmt::format("{:.1f} ms{}", seconds * 1e3, serves ? " a run" : ""));
    }
    row("read", fmt::format("{} files, {} directories, {} absent names; {} modules",
                            get<int>(section, "files"), get<int>(section, "directories"),
                            get<int>(section, "absent"), get<int>(section, "modules")));
    rows("in advance", in_advance(section));
    print_variables(section);
    rows("of its client", client_of(section));
    rows("left behind", left_of(section));
    rows("imports", imports_of(section));
    print_paths(section);
    row("error", get<std::string>(section, "error"));
}

void print_changes(const Json& all) {
    int checked = 0;
    for (const Json& section : all["templates"]) {
        checked += get<int>(section, "checked_by_stat");
    }
    const std::string stat = fmt::format("checked by stat at every run: {} files", checked);
    if (get<std::string>(all, "changes") == "stat") {
        row("changes", join(stat, dropin::printable(get<std::string>(all, "blind"))));
    } else {
        row("changes", "told by inotify" + (checked > 0 ? "; " + stat : ""));
    }
    std::vector<std::string> lines;
    for (const Json& event : all["made_stale"]) {
        const auto time = static_cast<std::uint64_t>(get<double>(event, "time") * 1e6);
        lines.push_back(moment(time) + "  " + text_of(event["reason"]));
    }
    rows("made stale", lines);
}

void print_all(const Json& all, const Properties& properties) {
    row("serves", subject_of(properties));
    const bool ready = !all["templates"].empty();
    row("state", join(properties.state, ready ? "" : dropin::printable(properties.reason)));
    row("commands", fmt::format("{} run", properties.commands_run));
    print_changes(all);
    for (const Json& section : all["templates"]) {
        print_section(section, true);
    }
    for (const Json& section : all["given_up"]) {
        print_section(section, false);
    }
}

}  // namespace

int explain(const Place& place, const Selection& selection, const ExplainOptions& options) {
    auto server = server_of(place, selection);
    const auto properties = server ? server->properties() : std::nullopt;
    if (!properties) {
        options.json ? print({{"status", "down"}}) : print_down(place, selection);
        return 1;
    }
    Json all = to_json(*properties);
    all.update(Json::parse(server->explain()));
    for (const char* key : {"templates", "given_up"}) {
        for (Json& section : all[key]) {
            reduce(section, options);
        }
    }
    options.json ? print(all) : print_all(all, *properties);
    return 0;
}

}  // namespace quicken::ctl
