// What others see of a command: /proc/PID/cmdline and environ (ps, pgrep,
// top) are those of a plain run instead of the template's.
#pragma once

#include <cstddef>

namespace quicken::interp {

/// Once, in a spare before it waits: the kernel's record of this process's memory (proc_pid_stat, proc(5)).
void note_process_image();

/// Arguments and environment, each NUL-terminated strings end to end that live as long as the process.
/// Where the kernel does not let an ordinary process say so (no CONFIG_CHECKPOINT_RESTORE), nothing changes.
void set_process_image(const char* arguments, std::size_t arguments_size, const char* environment,
                       std::size_t environment_size);

/// As an exec of this path does: the first 15 bytes of what follows its last "/".
void set_process_name(const char* path);

}  // namespace quicken::interp
