// `quickenctl wrap` and `unwrap`. Each name is a piece of work of its own: what cannot be done is told, the
// rest is done, and the exit status is 1.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <functional>
#include <set>

#include "common/dropin.hpp"
#include "common/error.hpp"
#include "ctl/commands.hpp"
#include "ctl/launcher_file.hpp"
#include "ctl/original.hpp"

namespace quicken::ctl {
namespace {

using dropin::printable;

std::string base_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

std::string directory_for(const WrapOptions& options) {
    if (!options.into.empty()) return absolute_path(options.into);
    const char* const home = std::getenv("HOME");
    if (home == nullptr || *home != '/')
        throw Error("HOME is not an absolute path; --into names a directory");
    return absolute_path(std::string(home) + "/.local/bin");
}

std::string scripts_of(const std::string& environment) {
    return absolute_path(environment) + "/bin";
}

/// Does the work for each; 1 if one of them has failed.
int for_each(const char* command, const std::vector<std::string>& all,
             const std::function<void(const std::string&)>& work) {
    int status = 0;
    for (const std::string& one : all) {
        try {
            work(one);
        } catch (const std::exception& error) {
            fmt::print(stderr, "quickenctl {}: {}\n", command, printable(error.what()));
            status = 1;
        }
    }
    return status;
}

/// A launcher that nobody's shell finds has been made for nothing.
void warn_of_path(const std::string& launcher) {
    const std::string name = base_of(launcher);
    const std::string found = find_on_path(name);
    struct stat one {
    }, other{};
    if (::stat(launcher.c_str(), &one) != 0 ||
        (::stat(found.c_str(), &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev)) {
        return;
    }
    fmt::print(stderr, "quickenctl wrap: note: on PATH, {} is {}\n", printable(name),
               found.empty() ? "not found" : printable(found));
}

void wrap_one(const std::string& name, const std::string& directory, const std::string& suffix) {
    const std::string original = find_original(name);
    const std::string launcher = directory + "/" + base_of(original) + suffix;
    const bool made = write_launcher(launcher, original);
    fmt::print("{} {} {}\n", printable(launcher), made ? "runs" : "already runs", printable(original));
    warn_of_path(launcher);
}

std::vector<std::string> scripts_in(const std::string& environment) {
    const std::string directory = scripts_of(environment);
    std::vector<std::string> scripts;
    for (const std::string& name : names_in(directory)) {
        const std::string path = directory + "/" + name;
        if (fault_of_original(path).empty()) scripts.push_back(path);
    }
    if (scripts.empty()) throw Error("in " + directory + " there is no Python script");
    return scripts;
}

std::vector<std::string> launchers_of(const std::string& environment, const std::string& directory) {
    const std::string start = scripts_of(environment) + "/";
    std::vector<std::string> launchers;
    for (const std::string& path : launchers_in(directory)) {
        if (launcher_at(path).value_or("").starts_with(start)) launchers.push_back(path);
    }
    if (launchers.empty()) throw Error("in " + directory + " there is no launcher of a program in " + start);
    return launchers;
}

}  // namespace

int wrap(const WrapOptions& options) {
    const std::string directory = directory_for(options);
    const auto names = options.environment.empty() ? options.names : scripts_in(options.environment);
    return for_each("wrap", names,
                    [&](const std::string& name) { wrap_one(name, directory, options.suffix); });
}

int list_launchers(const WrapOptions& options) {
    std::vector<std::string> directories{directory_for(options)};
    if (options.into.empty()) {
        for (const std::string& one : path_directories()) {
            if (one.starts_with('/')) directories.push_back(absolute_path(one));
        }
    }
    std::set<std::string> seen;
    for (const std::string& directory : directories) {
        if (!seen.insert(directory).second) continue;
        for (const std::string& path : launchers_in(directory)) {
            const std::string original = launcher_at(path).value_or("");
            const std::string fault = fault_of_original(original);
            fmt::print("{} runs {}{}\n", printable(path), printable(original),
                       fault.empty() ? "" : " (" + printable(fault) + ")");
        }
    }
    return 0;
}

int unwrap(const WrapOptions& options) {
    const std::string directory = directory_for(options);
    const auto path_of = [&](const std::string& name) {
        return name.find('/') == std::string::npos ? directory + "/" + name + options.suffix
                                                   : absolute_path(name);
    };
    std::vector<std::string> launchers;
    if (options.environment.empty()) {
        for (const std::string& name : options.names) launchers.push_back(path_of(name));
    } else {
        launchers = launchers_of(options.environment, directory);
    }
    return for_each("unwrap", launchers, remove_launcher);
}

}  // namespace quicken::ctl
