// The session of a command whose client has a controlling terminal.
//
// The command gets a pseudo-terminal (pty(7)) as its controlling terminal, in
// a session of its own. Three processes make that the same as a shell's job:
//
//  leader   `quicken-session`, one a spare: leads the session, so that the
//           command need not (setpgid(2) would fail for it, and its end would
//           hang up what it leaves behind), and changes the foreground process
//           group when the client says so.
//  anchor   the leader's child, in the command's process group. A parent in
//           the session but in another group is what keeps a group from being
//           orphaned; in an orphaned one SIGTSTP, SIGTTIN and SIGTTOU do not stop
//           (setpgid(2), "A process group is orphaned").
//  command  the supervisor's child like every other.
//
// The leader has one SOCK_SEQPACKET socket. Its peer is first the spare, which
// attaches itself, then the client, to which the spare passes its end. Its end
// is the leader's: as a spare ends, or serves a client without a terminal, or as
// the client ends.
//
// Freestanding.
#pragma once

#include <cstdint>

namespace quicken::session {

enum class Kind : std::uint32_t {
    attach = 1,  // spare: `value` is Membership; the answer is one Message whose value is the process group
    foreground,  // client: the command's group may use the terminal, and is continued (SIGCONT)
    background,  // client: it may not
    proceed,     // client: it may not, and is continued
    abandon,     // client: nobody would continue a stopped command: its group becomes orphaned
    guard,       // client: with its terminal: if it ends before `release`, its terminal must not stay raw
    release,     // client: it has given its terminal back
    leave,       // client: it ends before the command, which is then in the background, where nobody would
                 // continue it; the answer is this Message
};

/// Values of attach, to be added.
inline constexpr std::uint32_t k_leads_group = 1;  // the command leads its group; otherwise the anchor does
inline constexpr std::uint32_t k_foreground = 2;

struct Message {
    Kind kind;
    std::uint32_t value;
};

}  // namespace quicken::session
