// The template's trace (common/trace.hpp): made at the fork point, sent with
// `ready`, and what a spare does with it once it has a client.
#pragma once

#include "request.hpp"

namespace quicken::interp {

/// At the fork point: ends tracing; a sealed memfd of the records. Gives up if they are too many.
int make_trace();

/// For a template that gives up: a sealed memfd of what the next one may import in advance, or -1.
int make_module_records();

/// In a spare before it waits: what compare_variables() writes is its own by then.
void prepare_comparison();

/// nullptr, or why the client's environment is not what the prelude has read. The text lives as long as the
/// process. Allocates nothing; tens of variables take a few µs.
const char* compare_variables(const Received& received);

/// Whether a file or directory of the trace has changed, of those where nobody is told of changes
/// (inotify(7)) or, with `all`, of all. Nothing to look at costs nothing.
bool files_changed(bool all);

}  // namespace quicken::interp
