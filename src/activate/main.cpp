// quicken-activate: the client's cold path.
//
// Gets the client's own arguments and environment, and always ends in an exec:
// of the client, once a socket listens (argv[0] "quicken-activated" keeps it
// from coming back here), or of the interpreter, for a plain run. Signal mask,
// dispositions, umask, limits and fds of that are those it was started with:
// everything it opens itself is close-on-exec.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "activate/activation.hpp"
#include "common/instance.hpp"
#include "common/target.hpp"

namespace quicken {
namespace {

constexpr std::chrono::seconds k_limit{5};  // for all ways of activation together
constexpr int k_usage = 2;                  // exit status, as Python's own
constexpr int k_cannot_run = 126;           // as sh(1)
constexpr int k_not_found = 127;

enum class Way { any, systemd, self, none };

std::optional<Way> way_of(const char* value) {
    const std::string_view text = value == nullptr ? "" : value;
    if (text.empty() || text == "auto") {
        return Way::any;
    }
    if (text == "systemd") {
        return Way::systemd;
    }
    if (text == "self") {
        return Way::self;
    }
    return text == "none" ? std::optional(Way::none) : std::nullopt;
}

/// PREFIX of PREFIX/libexec/quicken/quicken-activate.
std::string own_prefix() {
    std::array<char, PATH_MAX> path{};
    const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
    if (size < 0) {
        throw_errno("read", "/proc/self/exe");
    }
    std::string prefix(path.data(), static_cast<std::size_t>(size));
    for (int component = 0; component < 3; ++component) {
        prefix.resize(std::min(prefix.size(), prefix.rfind('/')));
    }
    return prefix;
}

class Run {
 public:
    Run(char** argv, char** environment, const Invocation& invocation)
        : argv_(argv),
          environment_(environment),
          invocation_(invocation),
          storage_(std::make_unique<Storage>()),
          target_(resolve(invocation, environment, *storage_)) {}

    /// Returns once a socket listens; throws with the reason for a plain run.
    void activate(Way way) const;
    int exec_client() const;
    int exec_plain(const std::string& reason) const;

 private:
    Activation describe(const Directory& directory) const;

    char** argv_;
    char** environment_;
    const Invocation& invocation_;
    std::unique_ptr<Storage> storage_;
    Target target_;
};

Directory make_directory(char** environment) {
    std::array<char, PATH_MAX> path{};
    if (!socket_directory(environment, path.data(), path.size())) {
        throw Error("XDG_RUNTIME_DIR is not an absolute path, or too long");
    }
    return Directory::make(path.data());
}

const char* name_of(wire::What what) {
    switch (what) {
        case wire::What::file:
            return "file";
        case wire::What::module:
            return "module";
        case wire::What::entry:
            return "entry";
        case wire::What::python:
            return "python";
    }
    return "";
}

Activation Run::describe(const Directory& directory) const {
    char id[33];
    format(instance_of(target_, environment_), id);
    return {directory,
            id,
            {name_of(target_.what), std::string(target_.name), std::string(target_.directory),
             std::string(target_.interpreter)},
            own_prefix(),
            environment_,
            bus::Clock::now() + k_limit};
}

void Run::activate(Way way) const {
    if (target_.plain != nullptr) {
        throw Error(target_.plain);
    }
    if (way == Way::none) {
        throw Error("QUICKEN_ACTIVATION is \"none\"");
    }
    const Directory directory = make_directory(environment_);
    const Activation activation = describe(directory);
    if (way == Way::self) {
        return activate_self(activation);
    }
    if (way == Way::systemd) {
        return activate_by_systemd(activation);
    }
    std::string reason;
    try {
        return activate_by_systemd(activation);
    } catch (const Hopeless&) {
        throw;
    } catch (const Error& error) {
        reason = error.what();
    }
    try {
        Activation second = activation;
        second.deadline = bus::Clock::now() + std::chrono::seconds(1);  // the first way may have used all
        activate_self(second);
    } catch (const Error& error) {
        throw Error(reason + "; " + error.what());
    }
}

int complain(const std::string& text, int status) {
    std::fprintf(stderr, "quicken: %s\n", text.c_str());
    return status;
}

int Run::exec_client() const {
    const std::string client = own_prefix() + "/bin/quicken";
    std::string name = k_activated_name;
    if (invocation_.link != nullptr) name += std::string(":") + invocation_.link;
    argv_[0] = name.data();
    ::execve(client.c_str(), argv_, environment_);
    return exec_plain("exec " + client + ": " + errno_text(errno));
}

int Run::exec_plain(const std::string& reason) const {
    const char* verbose = get_environment(environment_, "QUICKEN_VERBOSE");
    if (verbose != nullptr && *verbose != '\0' && std::strcmp(verbose, "0") != 0) {
        complain("plain run: " + reason, 0);
    }
    if (target_.interpreter.empty() && target_.original == nullptr) {
        return complain("no Python found: name one with --python, or put python3 on PATH", k_not_found);
    }
    std::size_t count = 0;
    while (invocation_.arguments[count] != nullptr) {
        ++count;
    }
    // The interpreter, its options (each has at least a NUL), -m or -c, the program, and the end.
    std::vector<char*> arguments(count + target_.options.size() + 8);
    std::vector<char> code(2 * wire::k_max_name + 512);
    if (!plain_arguments(target_, invocation_.name, invocation_.arguments, code.data(), code.size(),
                         arguments.data(), arguments.size())) {
        return complain("cannot make the command line for " + std::string(target_.interpreter), k_cannot_run);
    }
    ::execve(arguments[0], arguments.data(), environment_);
    const int error = errno;
    return complain("run " + std::string(arguments[0]) + ": " + errno_text(error),
                    error == ENOENT ? k_not_found : k_cannot_run);
}

int exec_tool(char** argv, char** environment) {
    const std::string tool = own_prefix() + "/bin/quickenctl";
    char name[] = "quicken";
    argv[0] = name;
    ::execve(tool.c_str(), argv, environment);
    return complain("run " + tool + ": " + errno_text(errno), k_cannot_run);
}

int run(char** argv, char** environment) {
    const Invocation invocation = parse(argv);
    if (invocation.form == Invocation::Form::usage) {
        return complain(invocation.error, k_usage);
    }
    if (invocation.form == Invocation::Form::tool) {
        return exec_tool(argv, environment);
    }
    if (invocation.form == Invocation::Form::serve) {
        return complain("serve is not for the activator", k_usage);
    }
    const char* const wanted = get_environment(environment, "QUICKEN_ACTIVATION");
    const auto way = way_of(wanted);
    if (!way) {
        return complain("QUICKEN_ACTIVATION is \"" + dropin::printable(wanted) +
                            "\"; it has to be auto, systemd, self or none",
                        k_usage);
    }
    const Run program(argv, environment, invocation);
    std::string reason;
    try {
        program.activate(*way);
    } catch (const std::exception& error) {
        reason = error.what();
    }
    return reason.empty() ? program.exec_client() : program.exec_plain(reason);
}

}  // namespace
}  // namespace quicken

int main(int argc, char** argv, char** environment) {
    if (argc < 1) {
        return quicken::k_usage;
    }
    return quicken::run(argv, environment);
}
