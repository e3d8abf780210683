// quicken-serve: the supervisor of one script that serves; what `quicken serve`
// becomes.
#include <systemd/sd-daemon.h>

#include <cstdio>
#include <exception>
#include <string_view>

#include "common/error.hpp"
#include "common/loop.hpp"
#include "serve/launch.hpp"
#include "serve/listeners.hpp"
#include "serve/options.hpp"
#include "serve/signals.hpp"
#include "serve/supervisor.hpp"
#include "serve/voice.hpp"

namespace quicken::serve {

namespace {

int run(const Options& options) {
    const Launch launch(options, own_prefix());
    Signals signals;
    Voice voice;
    Loop loop([&voice](const char* text) { voice.say("{}", text); });
    int status = 0;
    {
        Listeners listeners;
        Supervisor supervisor(loop, options, launch, listeners, voice);
        signals.attach(
            loop, supervisor, [] {}, [] {}, [] {});
        supervisor.start();
        loop.run();
        status = supervisor.status();
    }
    end_like(status);
}

}  // namespace

}  // namespace quicken::serve

int main(int argc, char** argv) {
    // The client leaves its own arguments as they are.
    if (argc > 1 && std::string_view(argv[1]) == "serve") {
        --argc;
        ++argv;
    }
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
