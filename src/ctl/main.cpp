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
#include "ctl/original.hpp"
#include "ctl/preload.hpp"
#include "ctl/quicken_help.hpp"
#include "ctl/serve.hpp"

namespace quicken::ctl {
namespace {

constexpr int k_failed = 1;
constexpr int k_usage = 2;

struct Options {
    Choice choice;
    bool json = false;
    bool now = false;
    ExplainOptions explain;
    VerifyOptions verify;
    std::string learning;  // "on" or "off"
    WrapOptions wrap;
    PreloadOptions preload;
    ServeOptions serve;
};

std::string instance_error(const std::string& text) {
    const bool valid =
        !text.empty() && text.size() <= 32 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
    return valid ? "" : "an instance is 1 to 32 of the digits 0-9a-f";
}

std::string empty_error(const std::string& text) {
    return text.empty() ? "must not be empty" : "";
}

void add_instance(CLI::App& command, Choice& choice) {
    command.add_option("--instance", choice.instance, "... with this id, or its first digits")
        ->type_name("ID")
        ->check(instance_error);
}

/// The options that say which server; exactly one of the first four is needed.
void add_choice(CLI::App& command, Choice& choice, bool bare_script) {
    command.add_option(bare_script ? "--file,SCRIPT" : "--file", choice.file, "the server of this script")
        ->type_name("SCRIPT")
        ->check(empty_error);
    command.add_option("-m", choice.module, "... of this module, run from here")
        ->type_name("MODULE")
        ->check(empty_error);
    command.add_option("--entry", choice.entry, "... of this entry point")
        ->type_name("MODULE:FUNCTION")
        ->check(empty_error);
    if (command.get_name() != "verify") {
        command.add_flag("--shared", choice.shared, "... of `quicken python`, with what preload lists");
        add_instance(command, choice);
    }
    command.add_option("--python", choice.python, "the Python that runs it, if not the default")
        ->type_name("INTERPRETER");
    command
        .add_option("--python-option", choice.python_options, "... with this option, as --python-option=-O")
        ->type_name("OPTION");
    command.add_option("--fork-point", choice.fork_point, "start: the server of who asks for that")
        ->type_name("start")
        ->check(CLI::IsMember({"start"}));
    command.final_callback([&choice, &command] {
        if (choice.shared && !(choice.python_options.empty() && choice.fork_point.empty())) {
            throw CLI::ValidationError(command.get_name(),
                                       "--shared is the shared interpreter without options");
        }
        const int chosen = !choice.file.empty() + !choice.module.empty() + !choice.entry.empty() +
                           !choice.instance.empty() + choice.shared;
        if (chosen != 1) {
            throw CLI::ValidationError(command.get_name(),
                                       command.get_name() == "verify"
                                           ? "name exactly one of SCRIPT, -m and --entry"
                                           : "name exactly one of --file, -m, --entry, --shared and "
                                             "--instance");
        }
    });
}

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& about, Options& options) {
    CLI::App* command = app.add_subcommand(name, about)->group("Commands");
    command->get_formatter()->column_width(32);
    command->footer("");  // otherwise the program's
    if (name != "list") {
        add_choice(*command, options.choice, name == "explain" || name == "verify");
    }
    return *command;
}

void add_explain(CLI::App& app, Options& options) {
    CLI::App& command =
        add_command(app, "explain", "what its templates have read, how far they go and why", options);
    command.add_flag("--json", options.explain.json, "one JSON object");
    command.add_flag("--files", options.explain.files, "also every file and directory");
    command.add_flag("--show-secrets", options.explain.show_secrets, "values of variables like API_KEY too");
}

void add_verify(CLI::App& app, Options& options) {
    CLI::App& command =
        add_command(app, "verify", "run a program plainly and quickened, and compare", options);
    command.footer("Arguments of the program come after `--`.");
    VerifyOptions& verify = options.verify;
    command.add_option("--input", verify.input, "its standard input; default: nothing")->type_name("FILE");
    command.add_option("--directory", verify.directory, "run in copies of this; default: an empty one")
        ->type_name("DIR");
    command.add_option("--runs", verify.runs, "quickened runs; default: 3")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    command.add_option("--timeout", verify.timeout, "seconds for each run; default: 60")
        ->type_name("S")
        ->check(CLI::Range(0.001, 1e6));
}

/// Options of wrap and unwrap alike.
CLI::App& add_launchers(CLI::App& app, const std::string& name, const std::string& about,
                        const std::string& names, WrapOptions& options) {
    CLI::App* command = app.add_subcommand(name, about)->group("Commands");
    command->get_formatter()->column_width(32);
    command->add_option("NAME", options.names, names)->type_name("")->check(empty_error);
    command->add_option("--all", options.environment, "all Python scripts in VENV/bin")
        ->type_name("VENV")
        ->check(empty_error);
    command->add_option("--into", options.into, "the launchers' directory; default: ~/.local/bin")
        ->type_name("DIR")
        ->check(empty_error);
    command->add_option("--suffix", options.suffix, "what their names have at the end; default: nothing")
        ->type_name("TEXT")
        ->check([](const std::string& text) {
            return text.find('/') == std::string::npos ? "" : "a suffix has no \"/\"";
        });
    command->final_callback([&options, command] {
        if (!options.names.empty() + !options.environment.empty() + options.list != 1) {
            const std::string more = command->get_name() == "wrap" ? ", --all and --list" : " and --all";
            throw CLI::ValidationError(command->get_name(), "name exactly one of NAME..." + more);
        }
    });
    return *command;
}

void add_wrap(CLI::App& app, Options& options) {
    CLI::App& wrap =
        add_launchers(app, "wrap", "write launchers for installed programs: warm, under their name",
                      "a program on PATH, or the path of a script", options.wrap);
    wrap.add_flag("--list", options.wrap.list, "show the launchers in DIR, or there and on PATH");
    wrap.footer(
        "A launcher runs the program that was found, wherever it stands on PATH itself. Nothing is\n"
        "overwritten but a launcher of the same program.\n\n"
        "Examples:\n"
        "  quickenctl wrap black hg\n"
        "  quickenctl wrap --suffix c black        # blackc, beside black\n"
        "  quickenctl wrap --into ~/bin --all ./venv\n");
    add_launchers(app, "unwrap", "remove launchers", "a launcher's name without the suffix, or its path",
                  options.wrap)
        .footer("Nothing else is removed. Servers go on until they are stopped or idle.");
}

void add_preload(CLI::App& app, Options& options) {
    CLI::App* command =
        app.add_subcommand("preload", "what `quicken python` imports in advance")->group("Commands");
    command->get_formatter()->column_width(32);
    command->footer("Toolkits have names of their own: gtk, gtk4, qt, qt6.");
    command->require_subcommand(1);
    PreloadOptions& preload = options.preload;
    for (const auto& [name, about] : {std::pair("add", "have these imported from now on"),
                                      std::pair("remove", "no longer"), std::pair("list", "print them")}) {
        CLI::App* action = command->add_subcommand(name, about);
        action->footer("");
        action->final_callback([&preload, action] { preload.action = action->get_name(); });
        if (action->get_name() == "list") {
            action->add_flag("--json", preload.json, "one JSON array");
            continue;
        }
        action->add_option("modules", preload.names, "names of modules or toolkits")
            ->required()
            ->type_name("NAME");
        if (action->get_name() == "add") {
            action
                ->add_option("--python", preload.python, "the Python that must find them, if not the default")
                ->type_name("INTERPRETER");
        }
    }
}

void add_enable(CLI::App& enable, ServeOptions& serve) {
    enable.get_option("SCRIPT")->required();
    enable.add_option("-p,--port", serve.ports, "listen at this port of localhost")
        ->type_name("PORT")
        ->allow_extra_args(false)
        ->check(CLI::Range(1, 65535));
    enable.add_option("-a,--address", serve.addresses, "... at this address")
        ->type_name("HOST:PORT")
        ->allow_extra_args(false);
    enable.add_option("--unix", serve.paths, "... at this Unix socket")
        ->type_name("PATH")
        ->allow_extra_args(false);
    enable.add_option("--name", serve.name, "of its units; default: the script's")->type_name("NAME");
    enable.add_option("--idle", serve.idle, "seconds until it ends unasked; default: 300; 0: never")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 1e9));
    enable.add_option("--python", serve.python, "the Python that runs it")->type_name("INTERPRETER");
    enable.add_option("--python-option", serve.python_options, "... with this option")
        ->type_name("OPTION")
        ->allow_extra_args(false);
    enable.add_option("--set", serve.settings, "a limit, as of quicken serve")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    enable.footer("Arguments of the script come after `--`.");
}

/// A command about one that is served; its name is the action.
CLI::App& add_serve_action(CLI::App& parent, const std::string& name, const std::string& about,
                           ServeOptions& serve) {
    CLI::App* action = parent.add_subcommand(name, about);
    action->get_formatter()->column_width(32);
    action->footer("");
    if (name != "list") {
        action->add_option("SCRIPT", serve.script, "its path, the name of its units, or its id")
            ->type_name("")
            ->check(empty_error);
    }
    action->final_callback([&serve, action] { serve.action = action->get_name(); });
    return *action;
}

void add_serve(CLI::App& app, Options& options) {
    CLI::App* command =
        app.add_subcommand("serve", "what `quicken serve` serves, and by systemd at the first request")
            ->group("Commands");
    command->get_formatter()->column_width(32);
    command->footer("");
    command->require_subcommand(1);
    ServeOptions& serve = options.serve;
    add_enable(add_serve_action(*command, "enable", "have systemd start it at its first request", serve),
               serve);
    add_serve_action(*command, "disable", "no longer, and end it", serve).get_option("SCRIPT")->required();
    add_serve_action(*command, "status", "state, addresses, last error", serve)
        .add_flag("--json", serve.json, "one JSON object");
    add_serve_action(*command, "stop", "let it answer what it has begun, and end", serve);
    add_serve_action(*command, "reload", "start it anew without losing a request", serve);
    add_serve_action(*command, "list", "all that are served or would be", serve)
        .add_flag("--json", serve.json, "one JSON array");
    add_serve_action(app, "reload", "the same as serve reload", serve).group("Commands");
}

void build(CLI::App& app, Options& options) {
    app.get_formatter()->column_width(32);
    app.get_formatter()->label("SUBCOMMAND", "COMMAND");
    app.set_version_flag("--version", std::string("quicken ") + k_version, "the version");
    app.set_help_flag("-h,--help", "this text");
    app.require_subcommand(1);
    app.footer(
        "`quickenctl COMMAND --help` shows the options of a command. Only verify starts a server.\n"
        "Exit status: 0 success; 1 failure, or a difference; 2 wrong usage; 3 is-active and it is not.\n\n"
        "Examples:\n"
        "  quickenctl list\n"
        "  quickenctl explain report.py\n"
        "  quickenctl verify report.py -- --since monday\n"
        "  quickenctl status --json --file report.py\n"
        "  quickenctl stop --now --instance 9ad748c6\n"
        "  quickenctl wrap black\n");
    add_command(app, "status", "what a server serves, its state, commands and memory", options)
        .add_flag("--json", options.json, "one JSON object");
    add_explain(app, options);
    add_verify(app, options);
    add_command(app, "stop", "let its commands end (10 s), end it, leave nothing behind", options)
        .add_flag("--now", options.now, "kill its commands");
    add_command(app, "restart", "have a running server warm up anew", options);
    add_command(app, "is-active", "print active or inactive; exit status 0 or 3", options);
    add_command(app, "learn", "import early what most commands import late", options)
        .add_option("state", options.learning, "on, or off, which forgets what was learned")
        ->required()
        ->type_name("on|off")
        ->check(CLI::IsMember({"on", "off"}));
    add_preload(app, options);
    add_command(app, "list", "all servers, and sockets that would start one", options)
        .add_flag("--json", options.json, "one JSON array");
    add_wrap(app, options);
    add_serve(app, options);
}

int run_command(const std::string& name, const Options& options) {
    if (name == "wrap") {
        return options.wrap.list ? list_launchers(options.wrap) : wrap(options.wrap);
    }
    if (name == "unwrap") {
        return unwrap(options.wrap);
    }
    if (name == "preload") {
        return preload(options.preload);
    }
    if (name == "serve" || name == "reload") {
        return serve(options.serve);
    }
    Place place = Place::find(environ);
    if (name == "list") {
        return list(place, options.json);
    }
    if (name == "verify") {
        return verify(options.choice, options.verify);
    }
    const Selection selection = select(options.choice, place, environ);
    if (name == "explain") {
        return explain(place, selection, options.explain);
    }
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

/// Of verify and serve: what comes after `--` is none of our business. Returns how many are left.
int take_program_arguments(int argc, char** argv, Options& options) {
    const std::string_view command = argv[1];
    if (command != "verify" && command != "serve") {
        return argc;
    }
    auto& arguments = command == "verify" ? options.verify.arguments : options.serve.arguments;
    for (int i = 2; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--") {
            arguments.assign(argv + i + 1, argv + argc);
            return i;
        }
    }
    return argc;
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
    argc = take_program_arguments(argc, argv, options);
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
    // The server of a launcher's program is that of its original.
    options.choice.file = launched_by(options.choice.file).value_or(options.choice.file);
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
