// quicken-www: the files of a directory over HTTP, as `quicken serve --www`
// starts it, or by itself.
#include <fcntl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/error.hpp"
#include "common/version.hpp"
#include "serve/protocol.hpp"
#include "www/control.hpp"
#include "www/listening.hpp"
#include "www/log.hpp"
#include "www/settings_text.hpp"
#include "www/site.hpp"

namespace quicken::www {

namespace {

constexpr int k_usage = 2;  // exit status
constexpr char k_settings_variable[] = "QUICKEN_SERVE_SETTINGS";

struct Options {
    std::string directory;
    std::string address = "localhost";
    std::uint16_t port = 8080;
    bool verbose = false;
};

bool read_options(int argc, char** argv, Options& options, int& status) {
    CLI::App app("Serves the files of a directory over HTTP.", "quicken-www");
    app.set_version_flag("--version", std::string("quicken-www ") + k_version, "the version");
    app.set_help_flag("-h,--help", "this text");
    app.add_option("--www", options.directory, "the directory")->type_name("DIR")->required();
    app.add_option("-a", options.address, "address; default: localhost; \"\": all")->type_name("ADDRESS");
    app.add_option("-p", options.port, "port; default: 8080; 0: any")->type_name("PORT");
    app.add_flag("-v", options.verbose, "a line for each request, not for errors alone");
    try {
        app.parse(argc, argv);
        return true;
    } catch (const CLI::Success& success) {
        status = app.exit(success);
    } catch (const CLI::ParseError& error) {
        std::fprintf(stderr, "quicken-www: %s\nTry quicken-www --help.\n", error.what());
        status = k_usage;
    }
    return false;
}

/// Absolute: the cache watches the whole of a path.
std::string absolute(const std::string& directory) {
    std::error_code error;
    const std::filesystem::path path = std::filesystem::canonical(directory, error);
    if (error) throw Error("serve", directory, error.value());
    if (!std::filesystem::is_directory(path, error)) throw Error("serve", directory, ENOTDIR);
    return path.string();
}

/// Each connection is a descriptor: as many as there may be.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);  // otherwise fewer connections: they get 503
}

/// The control socket is nobody's but ours.
Fd take_supervisor() {
    const char* number = std::getenv(serve::k_control_variable);
    if (number == nullptr) return {};
    Fd fd(std::atoi(number));
    unsetenv(serve::k_control_variable);
    if (fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) throw_errno("use", serve::k_control_variable);
    return fd;
}

/// Under a supervisor only its first process: the others serve at the same place. Port 0: a Unix socket.
bool says_where(bool supervised, std::uint16_t port) {
    return !supervised || (port != 0 && std::getenv(serve::k_subsequent_variable) == nullptr);
}

void announce(const Options& options, std::uint16_t port) {
    const bool colons = options.address.find(':') != std::string::npos;
    const std::string host = options.address.empty() ? "localhost" : options.address;
    say("serving " + options.directory + " at http://" + (colons ? "[" + host + "]" : host) + ":" +
        std::to_string(port) + "/");
}

void serve_directory(Options options) {
    options.directory = absolute(options.directory);
    block_signals();
    raise_descriptor_limit();
    http::Settings settings;
    if (const char* text = std::getenv(serve::k_settings_variable)) apply(text, settings);
    Site site(options.verbose);
    http::Server server(site, settings);
    Fd supervisor = take_supervisor();
    const bool supervised = static_cast<bool>(supervisor);
    Control control(server, settings, std::move(supervisor));
    Fd listener = supervised ? control.ask_to_listen(options.address, options.port)
                             : listen_at(options.address, options.port);
    const std::uint16_t port = port_of(listener);
    server.listen(std::move(listener), nullptr);
    site.serve(server, options.directory);
    if (says_where(supervised, port)) announce(options, port);
    control.start(options.directory);
    server.run();
    site.end();
}

}  // namespace

}  // namespace quicken::www

int main(int argc, char** argv) {
    using namespace quicken::www;
    Options options;
    int status = 0;
    if (!read_options(argc, argv, options, status)) return status;
    try {
        serve_directory(std::move(options));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "quicken-www: %s\n", error.what());
        return 1;
    }
    return 0;
}
