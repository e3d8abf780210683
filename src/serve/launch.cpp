#include "serve/launch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "common/error.hpp"
#include "serve/protocol.hpp"

namespace quicken::serve {

namespace {

using std::string_view;

constexpr string_view k_python_path = "PYTHONPATH";

class Actions {
 public:
    Actions() { posix_spawn_file_actions_init(&actions_); }
    ~Actions() { posix_spawn_file_actions_destroy(&actions_); }
    Actions(const Actions&) = delete;
    Actions& operator=(const Actions&) = delete;
    posix_spawn_file_actions_t* get() { return &actions_; }

 private:
    posix_spawn_file_actions_t actions_{};
};

class Attributes {
 public:
    Attributes() { posix_spawnattr_init(&attributes_); }
    ~Attributes() { posix_spawnattr_destroy(&attributes_); }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    posix_spawnattr_t* get() { return &attributes_; }

 private:
    posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
    result.push_back(nullptr);
    return result;
}

/// Of one of ours: what an outer supervisor has said is not this one's.
bool is_ours(string_view entry) {
    const string_view name = entry.substr(0, entry.find('='));
    return name == k_python_path || name == k_control_variable || name == k_restart_variable ||
           name == k_subsequent_variable || name == k_settings_variable || name == k_python_path_variable;
}

std::vector<std::string> make_environment(const Options& options, const std::string& prefix, int control) {
    std::vector<std::string> result;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        if (!is_ours(*entry)) result.emplace_back(*entry);
    }
    const auto add = [&](string_view name, const std::string& value) {
        result.push_back(std::string(name) + "=" + value);
    };
    const std::string package = prefix + "/libexec/quicken/python";
    const char* before = std::getenv("PYTHONPATH");
    add(k_python_path, before != nullptr && *before != '\0' ? package + ":" + before : package);
    if (before != nullptr) add(k_python_path_variable, before);
    add(k_control_variable, std::to_string(control));
    add(k_restart_variable, std::to_string(k_restart_status));
    if (!options.settings.empty()) add(k_settings_variable, options.settings);
    return result;
}

std::vector<std::string> make_arguments(const Options& options, const std::string& prefix) {
    if (!options.www.empty()) {
        return {prefix + "/libexec/quicken/quicken-www",
                "--www",
                options.www,
                "-a",
                options.address,
                "-p",
                std::to_string(options.port)};
    }
    std::vector<std::string> result{prefix + "/bin/quicken", "run", "--fork-point", "start"};
    if (!options.python.empty()) result.insert(result.end(), {"--python", options.python});
    for (const std::string& option : options.python_options) result.push_back("--python-option=" + option);
    result.insert(result.end(), {"--file", options.script, "--"});
    result.insert(result.end(), options.arguments.begin(), options.arguments.end());
    return result;
}

/// Those of the signals that the supervisor ignores which are not ignored now.
sigset_t not_ignored() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGPIPE, SIGTTOU, SIGTTIN}) {
        struct sigaction action {};
        if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&set, signal);
    }
    return set;
}

}  // namespace

std::string own_prefix() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path().parent_path();
}

Launch::Launch(const Options& options, const std::string& prefix)
    : arguments_(make_arguments(options, prefix)), number_(open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    if (!number_) throw_errno("open", "/dev/null");
    if (number_.get() <= STDERR_FILENO) {  // one of the streams is closed
        number_ = Fd(fcntl(number_.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
        if (!number_) throw_errno("duplicate", "/dev/null");
    }
    environment_ = make_environment(options, prefix, number_.get());
    pthread_sigmask(SIG_SETMASK, nullptr, &mask_);
    defaults_ = not_ignored();
}

pid_t Launch::start(const Fd& control, bool subsequent) const {
    Actions actions;
    Attributes attributes;
    posix_spawn_file_actions_adddup2(actions.get(), control.get(), number_.get());
    posix_spawnattr_setsigmask(attributes.get(), &mask_);
    posix_spawnattr_setsigdefault(attributes.get(), &defaults_);
    posix_spawnattr_setflags(attributes.get(),
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<std::string> environment = environment_;
    if (subsequent) environment.push_back(std::string(k_subsequent_variable) + "=1");
    const auto argv = pointers(arguments_);
    const auto envp = pointers(environment);
    pid_t pid = -1;
    const int error = posix_spawn(&pid, argv[0], actions.get(), attributes.get(), argv.data(), envp.data());
    if (error != 0) throw Error("execute", arguments_.front(), error);
    return pid;
}

}  // namespace quicken::serve
