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

}  // namespace quicken::ctl
