// Engine.configure(): names of settings and what they set.
#pragma once

#include "http/python/core.hpp"

namespace quicken::http::python {

/// Sets what the dict has; throws Raised (ValueError) for an unknown name or a bad value: then `config` and
/// `script` may be half changed, so give copies.
void configure(PyObject* values, Config& config, Ref& slow);

}  // namespace quicken::http::python
