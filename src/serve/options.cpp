#include "serve/options.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/serve_settings.hpp"
#include "common/version.hpp"

namespace quicken::serve {

namespace {

constexpr int k_usage = 2;  // exit status, as Python's own

/// Adds NAME=VALUE to `settings`.
void add_setting(const std::string& text, nlohmann::json& settings) {
    try {
        const ServeSetting setting = parse_serve_setting(text);
        settings[setting.name] = setting.value;
        if (setting.is_whole) settings[setting.name] = static_cast<std::uint64_t>(setting.value);
    } catch (const Error& error) {
        throw CLI::ValidationError("--set", error.what());
    }
}

class Formatter : public CLI::Formatter {
    std::string make_usage(const CLI::App*, std::string) const override {
        return "Usage: quicken serve [OPTION...] SCRIPT [ARG...]\n"
               "       quicken serve [OPTION...] --www DIR [-a ADDRESS] [-p PORT]\n";
    }
};

void build(CLI::App& app, Options& options, std::vector<std::string>& settings) {
    const auto formatter = std::make_shared<Formatter>();
    formatter->column_width(32);
    app.formatter(formatter);
    app.set_version_flag("--version", std::string("quicken serve ") + k_version, "the version");
    app.set_help_flag("-h,--help", "this text");
    app.prefix_command();
    app.add_option("--www", options.www, "serve the files in it, without a script")->type_name("DIR");
    app.add_option("-a,--address", options.address, "... at this address; default: localhost; \"\": all")
        ->type_name("ADDRESS");
    app.add_option("-p,--port", options.port, "... and this port; default: 8000; 0: any")
        ->type_name("PORT")
        ->check(CLI::Range(0, 65535));
    app.add_option("--python", options.python, "the Python that runs the script")->type_name("INTERPRETER");
    app.add_option("--python-option", options.python_options, "... with this option, as --python-option=-O")
        ->type_name("OPTION")
        ->allow_extra_args(false);
    app.add_flag("--no-reload{false}", options.reload, "do not start anew when a file is edited");
    app.add_flag("--no-prompt{false}", options.prompt, "no commands from standard input");
    app.add_option("--set", settings, "a limit of the engine, see quicken-serve(1)")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    app.add_option("--idle", options.idle, "end when nobody has asked for so long; default: never")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.001, 1e9));
    app.add_option("--start-timeout", options.start_timeout,
                   "what an edited script has until it serves; default: 60")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.001, 1e6));
    app.footer("What follows SCRIPT is its own. See quicken-serve(1).");
}

void take_script(const CLI::App& app, Options& options) {
    std::vector<std::string> words = app.remaining();
    if (!words.empty() && words.front() == "--") words.erase(words.begin());
    if (!options.www.empty()) {
        if (!words.empty()) throw CLI::ValidationError("--www", "takes no script: " + words.front());
        return;
    }
    if (app.count("-a") + app.count("-p") != 0)
        throw CLI::ValidationError("-a and -p", "belong to --www; a script says itself where it listens");
    if (words.empty() || words.front().empty()) throw CLI::ValidationError("SCRIPT", "which script?");
    if (words.front().front() == '-') throw CLI::ValidationError(words.front(), "there is no such option");
    options.script = words.front();
    options.arguments.assign(words.begin() + 1, words.end());
}

}  // namespace

bool read_options(int argc, char** argv, Options& options, int& status) {
    CLI::App app(
        "Runs a script that imports quick_server, or serves files; starts it anew when it is edited.",
        "quicken serve");
    std::vector<std::string> settings;
    build(app, options, settings);
    try {
        app.parse(argc, argv);
        take_script(app, options);
        nlohmann::json values = nlohmann::json::object();
        for (const std::string& text : settings) add_setting(text, values);
        if (!values.empty()) options.settings = values.dump();
        options.drain_timeout = values.value("drain_timeout", options.drain_timeout);
        return true;
    } catch (const CLI::Success& success) {
        app.exit(success);
        status = 0;
    } catch (const CLI::ParseError& error) {
        std::fprintf(stderr, "quicken serve: %s\nTry quicken serve --help.\n", error.what());
        status = k_usage;
    }
    return false;
}

}  // namespace quicken::serve
