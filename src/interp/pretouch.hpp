// Which of the template's pages commands touch, so that spares touch them
// before a client waits: the first write to a page that a fork shares costs a
// fault and a copy, and a run that builds a table has thousands of them.
//
// A command looks at its page tables once it has reported its end
// (/proc/self/pagemap), and marks what it has in a map that all processes of
// the template share: one byte a page, written without a lock, since a lost
// mark is found by the next command that misses it. Nothing here can change
// what a program does, nor fail it: where the kernel does not tell, nothing is
// learned.
#pragma once

namespace quicken::interp {

/// In the template, after the prelude and before the first fork.
void prepare_pretouch();

/// In a spare, before it writes anything itself: many pages at once are cheaper than one by one
/// (MADV_POPULATE_WRITE, Linux 5.14).
void pretouch();

/// In a spare, when it waits: what is touched from now on is its client's to wait for.
void begin_to_count();

/// In a command whose client has been told its end.
void learn_touched();

}  // namespace quicken::interp
