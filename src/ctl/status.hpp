// What commands that look at one server share.
#pragma once

#include <optional>

#include "ctl/selection.hpp"
#include "ctl/server.hpp"

namespace quicken::ctl {

/// Nothing where none runs.
std::optional<Server> server_of(const Place& place, const Selection& selection);

/// Why nothing runs, for a reader who would have expected it to.
void print_down(const Place& place, const Selection& selection);

}  // namespace quicken::ctl
