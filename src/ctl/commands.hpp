// The commands of quickenctl. Each returns its exit status and throws Error
// with the text for the user. None of them but verify ever starts a server.
#pragma once

#include <string>
#include <vector>

#include "ctl/selection.hpp"

namespace quicken::ctl {

struct ExplainOptions {
    bool json = false;
    bool files = false;         // every path
    bool show_secrets = false;  // values of variables whose names tell that they are secret
};

struct VerifyOptions {
    std::vector<std::string> arguments;  // the program's
    std::string input;                   // file that is its standard input; empty: /dev/null
    std::string directory;  // what is in it each run finds in its working directory; may be empty
    unsigned runs = 3;
    double timeout = 60;  // s, for each run
};

/// Of wrap and unwrap: either names or an environment.
struct WrapOptions {
    std::vector<std::string> names;
    std::string environment;  // a virtual environment, all of whose scripts are meant
    std::string into;         // the launchers' directory; empty: ~/.local/bin
    std::string suffix;       // of their names
    bool list = false;
};

int status(Place& place, const Selection& selection, bool json);
/// 1 if there is no server.
int explain(const Place& place, const Selection& selection, const ExplainOptions& options);
/// 0 if quickened runs do what plain ones do, 1 if not. Starts a server, as the runs do.
int verify(Choice choice, VerifyOptions options);
/// 0 if a server runs, otherwise 3 (as systemctl(1)).
int is_active(const Place& place, const Selection& selection);
/// False if there was nothing to stop.
bool stop_server(Place& place, const Selection& selection, bool now);
int stop(Place& place, const Selection& selection, bool now);
int restart(const Place& place, const Selection& selection);
int list(Place& place, bool json);
/// Switches learned imports on or off; a running server warms up anew if that changes anything.
int learn(const Place& place, const Selection& selection, bool on);
/// Writes launchers (launcher.hpp) for installed programs and script files; prints each.
int wrap(const WrapOptions& options);
int list_launchers(const WrapOptions& options);
/// Removes them.
int unwrap(const WrapOptions& options);
/// `quicken run --learn ...`: switches them on and becomes the run without that option.
int run_learning(int argc, char** argv);

}  // namespace quicken::ctl
