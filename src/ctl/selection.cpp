#include "ctl/selection.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "common/error.hpp"
#include "common/instance.hpp"
#include "common/target.hpp"

namespace quicken::ctl {
namespace {

constexpr std::size_t k_id_length = 32;

bool is_hexadecimal(std::string_view text) {
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// The id in `name` if that is PREFIX id SUFFIX.
std::optional<std::string> id_in(std::string_view name, std::string_view prefix, std::string_view suffix) {
    if (name.size() != prefix.size() + k_id_length + suffix.size() || !name.starts_with(prefix) ||
        !name.ends_with(suffix)) {
        return std::nullopt;
    }
    const std::string_view id = name.substr(prefix.size(), k_id_length);
    return is_hexadecimal(id) ? std::optional(std::string(id)) : std::nullopt;
}

void add_from_directory(const Directory& directory, std::set<std::string>& ids) {
    struct Close {
        void operator()(DIR* stream) const noexcept { ::closedir(stream); }
    };
    const std::unique_ptr<DIR, Close> stream(::opendir(directory.path().c_str()));
    if (!stream) {
        throw_errno("list", directory.path());
    }
    while (const dirent* entry = ::readdir(stream.get())) {
        for (const char* suffix : {".sock", ".ctl"}) {
            if (auto id = id_in(entry->d_name, "", suffix)) {
                ids.insert(*id);
            }
        }
    }
}

void add_from_manager(Manager& manager, std::set<std::string>& ids) {
    for (const auto& unit : manager.list({"quicken@*.socket", "quicken@*.service"})) {
        if (unit.active == "inactive") {
            continue;
        }
        for (const char* suffix : {".socket", ".service"}) {
            if (auto id = id_in(unit.name, "quicken@", suffix)) {
                ids.insert(*id);
            }
        }
    }
}

Selection select_instance(const std::string& text, const Place& place) {
    if (text.size() == k_id_length) {
        return {text, "instance " + text, ""};
    }
    std::set<std::string> found = place.instances();
    std::erase_if(found, [&](const std::string& id) { return !id.starts_with(text); });
    if (found.size() == 1) {
        return {*found.begin(), "instance " + *found.begin(), ""};
    }
    throw Error(found.empty() ? "no instance begins with " + text + "; quickenctl list shows those there are"
                              : "more than one instance begins with " + text + "; name more of its digits");
}

Selection select_target(wire::What what, const std::string& name, const Choice& choice, char** environment) {
    if (what == wire::What::file && ::access(name.c_str(), F_OK) != 0) {
        throw_errno("find the script", name);
    }
    const auto storage = std::make_unique<Storage>();
    const Target target = resolve(what, name, choice, environment, *storage);
    constexpr const char* k_what[] = {"", "file", "module", "entry", "python"};
    const dropin::Subject subject{k_what[static_cast<unsigned>(what)], std::string(target.name),
                                  std::string(target.directory), ""};
    if (target.plain != nullptr) {
        return {"", name, target.plain};
    }
    char id[k_id_length + 1];
    format(instance_of(target, environment), id);
    return {id, describe(subject), ""};
}

}  // namespace

std::vector<std::string> manner_of(const Choice& choice) {
    std::vector<std::string> words;
    if (!choice.python.empty()) words.insert(words.end(), {"--python", choice.python});
    for (const std::string& option : choice.python_options) words.push_back("--python-option=" + option);
    if (!choice.fork_point.empty()) words.insert(words.end(), {"--fork-point", choice.fork_point});
    return words;
}

Target resolve(wire::What what, const std::string& name, const Choice& choice, char** environment,
               Storage& storage) {
    const bool shared = what == wire::What::python;
    std::vector<std::string> words{"quicken", shared ? "python" : "run"};
    const std::vector<std::string> manner = manner_of(choice);
    words.insert(words.end(), manner.begin(), manner.end());
    // Of a shared interpreter the instance is that of any program.
    constexpr const char* k_program[] = {"", "--file", "-m", "--entry", "-c"};
    words.emplace_back(k_program[static_cast<unsigned>(what)]);
    words.push_back(name);
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const Invocation invocation = parse(pointers.data());
    if (invocation.form != Invocation::Form::run) throw Error(invocation.error);
    return quicken::resolve(invocation, environment, storage);
}

Place Place::find(char** environment) {
    std::array<char, PATH_MAX> path{};
    if (!socket_directory(environment, path.data(), path.size())) {
        throw Error("XDG_RUNTIME_DIR is not an absolute path, or too long");
    }
    Place place{Directory::open(path.data()), nullptr};
    const std::string runtime_directory = place.directory.runtime_directory();
    if (runtime_directory.empty()) {
        return place;
    }
    try {
        place.manager = std::make_unique<Manager>(runtime_directory, bus::Clock::now() + bus::k_call_timeout);
    } catch (const Error&) {
        // No user manager: all servers there are were started by activators.
    }
    return place;
}

std::set<std::string> Place::instances() const {
    std::set<std::string> ids;
    if (directory.fd() >= 0) {
        add_from_directory(directory, ids);
    }
    if (manager) {
        add_from_manager(*manager, ids);
    }
    return ids;
}

Selection select(const Choice& choice, const Place& place, char** environment) {
    if (!choice.instance.empty()) {
        return select_instance(choice.instance, place);
    }
    if (!choice.file.empty()) {
        return select_target(wire::What::file, choice.file, choice, environment);
    }
    if (choice.shared) {
        return select_target(wire::What::python, "", choice, environment);
    }
    return choice.module.empty() ? select_target(wire::What::entry, choice.entry, choice, environment)
                                 : select_target(wire::What::module, choice.module, choice, environment);
}

std::string describe(const dropin::Subject& subject) {
    const std::string name = dropin::printable(subject.name);
    if (subject.what == "module") {
        return "-m " + name + " in " + dropin::printable(subject.directory);
    }
    if (subject.what == "python") {
        return name.empty() ? "a shared interpreter" : "a shared interpreter with " + name;
    }
    return subject.what == "entry" ? "--entry " + name : name;
}

}  // namespace quicken::ctl
