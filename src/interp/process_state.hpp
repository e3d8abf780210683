// What a prelude may change about its process that a command has from its
// client, or shares with other commands.
#pragma once

namespace quicken::interp {

/// Once, in the template before its interpreter starts.
void note_process_state();

/// nullptr, or what the prelude has changed since: a text that is constant.
const char* changed_process_state();

}  // namespace quicken::interp
