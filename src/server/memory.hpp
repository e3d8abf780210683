// What a server costs.
#pragma once

#include <cstdint>

namespace quicken::server {

class Supervisor;

/// Bytes: the proportional set size (PSS) of supervisor, template, spares and commands together;
/// a process that ends meanwhile counts as 0 (proc_pid_smaps_rollup, proc(5)).
std::uint64_t proportional_memory(const Supervisor& supervisor);

}  // namespace quicken::server
