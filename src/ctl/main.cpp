// quickenctl; and as `quicken` what the client leaves to it: help, version and
// the same commands.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <string_view>

#include "common/error.hpp"
#include "common/version.hpp"
#include "ctl/commands.hpp"
#include "ctl/quicken_help.hpp"

namespace quicken::ctl {
namespace {

constexpr int k_failed = 1;
constexpr int k_usage = 2;

struct Options {
    Choice choice;
    bool json = false;
    bool now = false;
    std::string learning;  // "on" or "off"
};

std::string instance_error(const std::string& text) {
    const bool valid =
        !text.empty() && text.size() <= 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
    return valid ? "" : "an instance is 1 to 32 of the digits 0-9a-f";
}

std::string empty_error(const std::string& text) {
    return text.empty() ? "must not be empty" : "";
}

/// The options that say which server; exactly one of the first four is needed.
void add_choice(CLI::App& command, Choice& choice) {
    command.add_option("--file", choice.file, "the server of this script")
        ->type_name("SCRIPT")
        ->check(empty_error);
    command.add_option("-m", choice.module, "... of this module, run from here")
        ->type_name("MODULE")
        ->check(empty_error);
    command.add_option("--entry", choice.entry, "... of this entry point")
        ->type_name("MODULE:FUNCTION")
        ->check(empty_error);
    command.add_option("--instance", choice.instance, "... with this id, or its first digits")
        ->type_name("ID")
        ->check(instance_error);
    command.add_option("--python", choice.python, "the Python that runs it, if not the default")
        ->type_name("INTERPRETER");
    command.final_callback([&choice, &command] {
        const int chosen =
            !choice.file.empty() + !choice.module.empty() + !choice.entry.empty() + !choice.instance.empty();
        if (chosen != 1) {
            throw CLI::ValidationError(command.get_name(),
                                       "name exactly one of --file, -m, --entry and --instance");
        }
    });
}

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& about, Options& options) {
    CLI::App* command = app.add_subcommand(name, about)->group("Commands");
    command->get_formatter()->column_width(32);
    command->footer("");  // otherwise the program's
    if (name != "list") {
        add_choice(*command, options.choice);
    }
    return *command;
}

void build(CLI::App& app, Options& options) {
    app.get_formatter()->column_width(32);
    app.get_formatter()->label("SUBCOMMAND", "COMMAND");
    app.set_version_flag("--version", std::string("quicken ") + k_version, "the version");
    app.set_help_flag("-h,--help", "this text");
    app.require_subcommand(1);
    app.footer(
        "`quickenctl COMMAND --help` shows the options of a command. No command starts a server.\n"
        "Exit status: 0 success; 1 failure; 2 wrong usage; 3 is-active and it is not.\n\n"
        "Examples:\n"
        "  quickenctl list\n"
        "  quickenctl status --json --file report.py\n"
        "  quickenctl stop --now --instance 9ad748c6\n");
    add_command(app, "status", "what a server serves, its state, commands and memory", options)
        .add_flag("--json", options.json, "one JSON object");
    add_command(app, "stop", "let its commands end (10 s), end it, leave nothing behind", options)
        .add_flag("--now", options.now, "kill its commands");
    add_command(app, "restart", "have a running server warm up anew", options);
    add_command(app, "is-active", "print active or inactive; exit status 0 or 3", options);
    add_command(app, "learn", "import early what most commands import late", options)
        .add_option("state", options.learning, "on, or off, which forgets what was learned")
        ->required()
        ->type_name("on|off")
        ->check(CLI::IsMember({"on", "off"}));
    add_command(app, "list", "all servers, and sockets that would start one", options)
        .add_flag("--json", options.json, "one JSON array");
}

int run_command(const std::string& name, const Options& options) {
    Place place = Place::find(environ);
    if (name == "list") {
        return list(place, options.json);
    }
    const Selection selection = select(options.choice, place, environ);
    if (name == "status") {
        return status(place, selection, options.json);
    }
    if (name == "stop") {
        return stop(place, selection, options.now);
    }
    if (name == "learn") {
        return learn(place, selection, options.learning == "on");
    }
    return name == "restart" ? restart(place, selection) : is_active(place, selection);
}

/// Output that could not be written is a failure.
int finish(std::string_view program, int status) {
    if (std::fflush(stdout) == 0) {
        return status;
    }
    std::fprintf(stderr, "%s: write to standard output: %s\n", program.data(), errno_text(errno).c_str());
    return status == 0 ? k_failed : status;
}

int run(const char* program, int argc, char** argv) {
    CLI::App app("Shows and ends the servers that quicken has warmed.", program);
    Options options;
    build(app, options);
    if (argc < 2) {
        std::fprintf(stderr, "%s: which command?\nTry %s --help.\n", program, program);
        return k_usage;
    }
    const auto is_meant = [&](CLI::App* command) { return command->check_name(argv[1]); };
    if (argv[1][0] != '-' && app.get_subcommands(is_meant).empty()) {
        std::fprintf(stderr, "%s: there is no command \"%s\".\nTry %s --help.\n", program, argv[1], program);
        return k_usage;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {
        app.exit(success);
        return 0;
    } catch (const CLI::ParseError& error) {
        std::fprintf(stderr, "%s: %s\nTry %s --help.\n", program, error.what(), program);
        return k_usage;
    }
    const std::string name = app.get_subcommands().front()->get_name();
    try {
        return run_command(name, options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s %s: %s\n", program, name.c_str(), error.what());
        return k_failed;
    }
}

/// `quicken` itself: its help; everything else is as in quickenctl.
int run_as_quicken(int argc, char** argv) {
    const std::string_view first = argc > 1 ? argv[1] : "";
    if (first.empty()) {
        std::fputs(k_quicken_help, stderr);
        return k_usage;
    }
    if (first == "--help" || first == "-h") {
        std::fputs(k_quicken_help, stdout);
        return 0;
    }
    if (first != "run") {
        return run("quicken", argc, argv);
    }
    try {
        return run_learning(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "quicken run: %s\n", error.what());
        return k_failed;
    }
}

}  // namespace
}  // namespace quicken::ctl

int main(int argc, char** argv) {
    using namespace quicken::ctl;
    const std::string_view path = argc > 0 ? argv[0] : "";
    const bool as_quicken = path.substr(path.rfind('/') + 1) == "quicken";
    const int status = as_quicken ? run_as_quicken(argc, argv) : run("quickenctl", argc, argv);
    return finish(as_quicken ? "quicken" : "quickenctl", status);
}
