// quicken-serve: the supervisor of one script that serves; what `quicken serve`
// becomes.
#include <fcntl.h>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>

#include "common/error.hpp"
#include "common/loop.hpp"
#include "serve/bus_object.hpp"
#include "serve/idle.hpp"
#include "serve/launch.hpp"
#include "serve/listeners.hpp"
#include "serve/options.hpp"
#include "serve/prompt.hpp"
#include "serve/signals.hpp"
#include "serve/supervisor.hpp"
#include "serve/voice.hpp"

namespace quicken::serve {

namespace {

void tell_systemd(const Supervisor& supervisor) {
    sd_notify(0, fmt::format("{}STATUS={}: {}", supervisor.serves() ? "READY=1\n" : "", supervisor.state(),
                             supervisor.script())
                     .c_str());
}

/// The script is served without it too.
std::unique_ptr<BusObject> make_bus_object(Loop& loop, Supervisor& supervisor, const Options& options,
                                           const Voice& voice) {
    try {
        return std::make_unique<BusObject>(loop, supervisor, options);
    } catch (const Error& error) {
        voice.say("quickenctl will not find it: {}", error.what());
        return nullptr;
    }
}

/// So that no socket of ours gets the number of a stream that is closed. For the script it is closed still.
void hold_streams() {
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
        if (fcntl(number, F_GETFD) >= 0) continue;
        [[maybe_unused]] const int held = open("/dev/null", O_RDWR | O_CLOEXEC);
    }
}

/// Returns how the script has ended, as waitpid(2) has it.
int serve(const Options& options, const Launch& launch, Signals& signals) {
    Voice voice;
    Loop loop([&voice](const char* text) { voice.say("{}", text); });
    Listeners listeners;
    Supervisor supervisor(loop, options, launch, listeners, voice);
    std::optional<Prompt> prompt;
    if (options.prompt) prompt.emplace(loop, supervisor, voice);
    const auto bus_object = make_bus_object(loop, supervisor, options, voice);
    Idle idle(loop, options.idle, [&](const nlohmann::json& message) {
        return !supervisor.reloads() && supervisor.tell(message);
    });
    supervisor.on_events({.serving =
                              [&](const nlohmann::json& message) {
                                  if (prompt) prompt->serving(message);
                                  idle.serving();
                                  if (bus_object) bus_object->publish();
                              },
                          .said =
                              [&](const nlohmann::json& message) {
                                  if (prompt) prompt->said(message);
                                  idle.said(message);
                              },
                          .gone =
                              [&] {
                                  if (prompt) prompt->gone();
                              },
                          .changed = [&] { tell_systemd(supervisor); }});
    signals.attach(
        loop, supervisor,
        [&] {
            if (prompt) prompt->off();
        },
        [&] {
            if (prompt) prompt->on();
        },
        [&] {
            if (prompt) prompt->resized();
        });
    supervisor.start();
    loop.run();
    sd_notify(0, "STOPPING=1");
    return supervisor.status();
}

int run(const Options& options) {
    const Launch launch(options, own_prefix());
    Signals signals;
    end_like(serve(options, launch, signals));
}

}  // namespace

}  // namespace quicken::serve

int main(int argc, char** argv) {
    // The client leaves its own arguments as they are.
    if (argc > 1 && std::string_view(argv[1]) == "serve") {
        --argc;
        ++argv;
    }
    quicken::serve::hold_streams();
    quicken::serve::Options options;
    int status = 0;
    try {
        if (!quicken::serve::read_options(argc, argv, options, status)) return status;
        return quicken::serve::run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "quicken serve: %s\n", error.what());
        return 1;
    }
}
