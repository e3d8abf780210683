#include "ctl/serve_dropins.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "common/dropin.hpp"
#include "common/error.hpp"
#include "common/serve_bus.hpp"
#include "common/serve_settings.hpp"

namespace quicken::ctl {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t k_max_name = 100;

bool is_plain(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
}

/// As the value of a unit's line, which ends with the line or goes on after a "\\" (systemd.syntax(7)).
void check_line(const std::string& path) {
    const bool ends_well = path.empty() || (path.back() != ' ' && path.back() != '\\');
    if (dropin::printable(path) != path || !ends_well)
        throw Error("a unit cannot have the path " + dropin::printable(path) +
                    ": it ends with a blank or \"\\\", or has other than printable characters in UTF-8");
}

/// Of an IPv4 address, or of one of IPv6 in brackets: names are not looked up by systemd.
bool is_numeric(const std::string& host) {
    in6_addr address{};
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        return inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &address) == 1;
    return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool is_port(const std::string& text) {
    const bool is_number =
        !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string::npos;
    return is_number && std::stoi(text) > 0 && std::stoi(text) <= 65535;
}

void check_script(const std::string& script) {
    if (access(script.c_str(), R_OK) != 0) throw_errno("read the script", script);
    std::error_code unknown;
    if (fs::is_directory(script, unknown) && access((script + "/__main__.py").c_str(), R_OK) != 0)
        throw_errno("read the script", script + "/__main__.py");
}

std::string working_directory() {
    std::error_code lost;
    const fs::path path = fs::current_path(lost);
    if (lost) throw Error("find", "the working directory", lost.value());
    return path;
}

std::string command_line(const ServeOptions& options, const std::string& script) {
    std::vector<std::string> words{own_prefix() + "/bin/quicken", "serve", "--no-prompt"};
    if (options.idle > 0) words.insert(words.end(), {"--idle", fmt::format("{:g}", options.idle)});
    if (!options.python.empty()) words.insert(words.end(), {"--python", options.python});
    for (const std::string& option : options.python_options) words.push_back("--python-option=" + option);
    for (const std::string& setting : options.settings) words.insert(words.end(), {"--set", setting});
    words.push_back(script);
    words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    std::string line = ":";
    for (const std::string& word : words) {
        line.append(line.size() > 1 ? " " : "").append(dropin::quoted(word));
    }
    return line;
}

}  // namespace

std::string name_of(const ServeOptions& options) {
    std::string name = options.name.empty() ? fs::path(options.script).stem().string() : options.name;
    const bool valid = std::all_of(name.begin(), name.end(), is_plain);
    if (!options.name.empty() && !valid)
        throw Error("a name has letters, digits, \"_\", \"-\" and \".\" only");
    for (char& c : name) {
        if (!is_plain(c)) c = '_';
    }
    if (name.empty() || name.size() > k_max_name) throw Error("name it with --name: 1 to 100 characters");
    return name;
}

std::vector<std::string> listens_of(const ServeOptions& options) {
    std::vector<std::string> result;
    for (const int port : options.ports) result.push_back("127.0.0.1:" + std::to_string(port));
    for (const std::string& address : options.addresses) {
        const std::size_t colon = address.rfind(':');
        if (colon == std::string::npos || !is_numeric(address.substr(0, colon)) ||
            !is_port(address.substr(colon + 1)))
            throw Error(dropin::printable(address) +
                        " is not HOST:PORT, with numbers for each: 127.0.0.1:8080 or [::1]:8080");
        result.push_back(address);
    }
    for (const std::string& path : options.paths) {
        if (path.empty()) throw Error("a Unix socket needs a path");
        result.push_back(serve_bus::absolute_name(path));
        check_line(result.back());
        if (result.back().size() >= sizeof(sockaddr_un::sun_path))
            throw Error(fmt::format("{}: the path of a Unix socket has at most {} bytes", result.back(),
                                    sizeof(sockaddr_un::sun_path) - 1));
    }
    if (result.empty()) throw Error("say where it listens: --port, --address or --unix");
    return result;
}

void check(const ServeOptions& options) {
    check_script(options.script);
    listens_of(options);
    for (const std::string& setting : options.settings) parse_serve_setting(setting);
    if (options.python.find('/') != std::string::npos && access(options.python.c_str(), X_OK) != 0)
        throw_errno("run the interpreter", options.python);
}

std::string own_prefix() {
    return fs::read_symlink("/proc/self/exe").parent_path().parent_path();
}

Dropins make_dropins(const ServeOptions& options) {
    const std::string script = serve_bus::absolute_name(options.script);
    // With a "/" behind it a path may end with anything.
    const std::string directory = working_directory() + "/";
    check_line(directory);
    const std::string unit =
        "[Unit]\nDescription=quicken serve: " + dropin::double_percent(dropin::printable(script)) + "\n";
    std::string socket = unit + "\n[Socket]\n";
    for (const std::string& listen : listens_of(options))
        socket += "ListenStream=" + dropin::double_percent(listen) + "\n";
    const std::string service = unit + "\n[Service]\nWorkingDirectory=" + dropin::double_percent(directory) +
                                "\nExecStart=\nExecStart=" + command_line(options, script) +
                                "\n\n[X-Quicken]\nName=" + dropin::c_escape(script) + "\n";
    return {socket, service};
}

}  // namespace quicken::ctl
