// `quickenctl learn` and `quicken run --learn`. Learning is on as long as the
// instance's file is there; its format is that of src/server/learned.hpp.
#include "common/learning.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/dropin.hpp"
#include "common/error.hpp"
#include "common/fd.hpp"
#include "common/target.hpp"
#include "ctl/commands.hpp"
#include "ctl/original.hpp"
#include "ctl/server.hpp"

namespace quicken::ctl {
namespace {

std::string file_of(const Selection& selection) {
    const std::string path = learning_path(std::getenv("XDG_STATE_HOME"), std::getenv("HOME"), selection.id);
    if (path.empty()) throw Error("neither XDG_STATE_HOME nor HOME is an absolute path");
    return path;
}

/// Those of `path` that are missing; readable for nobody else.
void make_directories(const std::string& path) {
    for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
        const std::string directory = path.substr(0, at);
        if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) throw_errno("make", directory);
    }
}

/// False if it was there.
bool make_file(const std::string& path) {
    make_directories(path);
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST) return false;
    if (!file) throw_errno("make", path);
    const std::string_view header = k_learning_header;
    if (::write(file.get(), header.data(), header.size()) != static_cast<ssize_t>(header.size())) {
        ::unlink(path.c_str());
        throw_errno("write", path);
    }
    return true;
}

bool remove_file(const std::string& path) {
    if (::unlink(path.c_str()) == 0) return true;
    if (errno != ENOENT) throw_errno("remove", path);
    return false;
}

/// The program that a run without --learn is: the client, beside us.
[[noreturn]] void become_client(std::vector<char*>& arguments) {
    char path[4096];
    const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
    if (size <= 0 || size == sizeof path) throw Error("the place of quickenctl cannot be read");
    std::string client(path, static_cast<std::size_t>(size));
    client.replace(client.rfind('/') + 1, std::string::npos, "quicken");
    ::execv(client.c_str(), arguments.data());
    throw_errno("execute", client);
}

Choice choice_of(const Invocation& invocation) {
    Choice choice;
    const std::string name = invocation.name;
    if (invocation.what == wire::What::file) choice.file = launched_by(name).value_or(name);
    if (invocation.what == wire::What::module) choice.module = name;
    if (invocation.what == wire::What::entry) choice.entry = name;
    if (invocation.python != nullptr) choice.python = invocation.python;
    for (std::size_t i = 0; i < invocation.option_count; ++i) {
        const std::string word = invocation.options[i];
        choice.python_options.push_back(word.substr(word.find('=') + 1));
    }
    if (invocation.fork_point == wire::ForkPoint::start) choice.fork_point = "start";
    return choice;
}

}  // namespace

int learn(const Place& place, const Selection& selection, bool on) {
    if (!selection.plain.empty()) throw Error("it is always run plainly, as " + selection.plain);
    const std::string path = file_of(selection);
    if (!(on ? make_file(path) : remove_file(path))) return 0;
    // What has started before does not know.
    if (auto server = Server::connect(place.directory.control(selection.id))) server->restart();
    return 0;
}

int run_learning(int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    arguments.push_back(nullptr);
    const auto is_learn = [](const char* text) {
        return text != nullptr && std::strcmp(text, "--learn") == 0;
    };
    // The first is ours: what is before it has been understood by the client.
    const auto found = std::find_if(arguments.begin(), arguments.end(), is_learn);
    if (found == arguments.end()) throw Error("there is no such option");
    arguments.erase(found);
    const Invocation invocation = parse(arguments.data());
    try {
        if (invocation.form == Invocation::Form::run) {
            const Place place = Place::find(environ);
            learn(place, select(choice_of(invocation), place, environ), true);
        }
    } catch (const std::exception& error) {  // it is run all the same
        fmt::print(stderr, "quicken: nothing is learned: {}\n", error.what());
    }
    become_client(arguments);
}

}  // namespace quicken::ctl
