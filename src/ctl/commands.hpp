// The commands of quickenctl. Each returns its exit status and throws Error
// with the text for the user. None of them ever starts a server.
#pragma once

#include "ctl/selection.hpp"

namespace quicken::ctl {

int status(Place& place, const Selection& selection, bool json);
/// 0 if a server runs, otherwise 3 (as systemctl(1)).
int is_active(const Place& place, const Selection& selection);
int stop(Place& place, const Selection& selection, bool now);
int restart(const Place& place, const Selection& selection);
int list(Place& place, bool json);
/// Switches learned imports on or off; a running server warms up anew if that changes anything.
int learn(const Place& place, const Selection& selection, bool on);
/// `quicken run --learn ...`: switches them on and becomes the run without that option.
int run_learning(int argc, char** argv);

}  // namespace quicken::ctl
