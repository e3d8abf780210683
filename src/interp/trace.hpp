// The template's trace (common/trace.hpp): made at the fork point, sent with
// `ready`, and what a spare does with it once it has a client.
#pragma once

#include "request.hpp"

namespace quicken::interp {

/// At the fork point: ends tracing; a sealed memfd of the records. Gives up if they are too many.
int make_trace();

/// Of a template that gives up: what it has read by then, for people. -1 where that cannot be told.
int make_last_trace();

/// In a spare before it waits: what compare_key() writes is its own by then.
void prepare_comparison();

/// nullptr, or why the template is not right for the client (common/key.hpp).
const char* compare_key(const Received& received, const char* directory);

/// Whether a file or directory of the trace has changed, of those where nobody is told of changes
/// (inotify(7)) or, with `all`, of all. Nothing to look at costs nothing.
bool files_changed(bool all);

}  // namespace quicken::interp
