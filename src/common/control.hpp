// What the supervisor, the template and its spares say to each other.
//
// Three SOCK_SEQPACKET pairs and one page of shared memory:
//  control   supervisor <-> template. The supervisor sends ForkOrder, the
//            template Ready or Unfit once and then one Forked an order.
//  handoff   spares -> supervisor, one Handoff a connection with a copy of it
//            (SCM_RIGHTS). The supervisor holds that copy to report for a
//            command that cannot report for itself and to see its client go.
//            It does not wake the supervisor: the alarm, a timerfd(2) that the
//            spare sets after it has sent, does, at once if the supervisor is
//            to act or no other spare waits, else k_handoff_delay later, when
//            a short command has ended on the core that its successor's fork
//            would take from it. A spare that ends before it has set the alarm
//            is told of by SIGCHLD: then too all handoffs are read. A spare
//            may set the alarm anew before it has been heard: what another has
//            sent is then read k_handoff_delay later at most, by one of them,
//            and as each handoff takes a spare away the last sets it at once.
//            A spare that is ordered counts as one that waits: it is about to.
//  requests  supervisor -> spares of one template: clients that somebody else
//            has accepted, each with its connection, its directory, its deposit
//            and a memfd that holds its request, header and body. Whether a
//            spare waits here or on the listening socket its fork order says.
//  board     one Slot a spare or command, in MAP_SHARED memory. The
//            supervisor owns the free list; it frees a slot only when it has
//            reaped the process that had it.
//
// Slot states and who moves them:
//  free -> idle       supervisor, before the fork order
//  idle -> taken      spare, by compare-exchange right after accept(2)
//  idle -> retired    supervisor, by compare-exchange (stop, idle exit, stale
//                     template): the spare serves nobody any more
//  taken -> retired   spare, when its client had gone before `started`
//  taken -> reporting -> reported  command, before and after its report is put into the client's queue
// A spare that accepts and then finds itself retired closes the connection
// before anything was started; its client connects anew (wire.hpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quicken::control {

/// `reporting`: its command is past all effects, and may have told its client.
enum class SlotState : std::uint32_t { free = 0, idle, taken, reporting, reported, retired };

struct Slot {
    std::atomic<SlotState> state;
};

inline constexpr std::uint32_t k_slots = 1024;  // spares and commands at once

struct Board {
    std::atomic<std::uint32_t> stale;  // non-zero: no spare may serve
    // Non-zero: something has changed that the supervisor has not looked at yet.
    std::atomic<std::uint32_t> doubt;
    // Non-zero: the supervisor sees no changes; spares look at all files themselves.
    std::atomic<std::uint32_t> blind;
    Slot slots[k_slots];
};

/// ns from a handoff until the supervisor reads it.
inline constexpr long k_handoff_delay = 2000000;

/// With `serve` and `misfit`: connection, deposit (wire.hpp), memfd of the request.
inline constexpr int k_client_fds = 3;

/// Which part of the program the template has run (the rungs of the ladder).
/// On the lower one modules that the prelude has imported are, in advance, and the script is run from its
/// top.
enum class Rung : std::uint32_t { prelude = 1, interpreter = 2 };

enum class MessageKind : std::uint32_t {
    fork_order = 1,
    ready,
    unfit,
    forked,
    handoff,
    stale,
    needs_session,
    doubt,
    misfit,        // the template was made for clients of another kind (key.hpp)
    serve,         // a client for a spare that waits for one on `requests`
    unfit_modules  // template: not with what it was to import in advance; the fd says what the next one may
};

inline constexpr std::size_t k_text = 512;

/// One packet of either pair; unused fields are 0.
struct Message {
    MessageKind kind;
    Rung rung;              // ready
    std::uint32_t slot;     // fork_order, forked, handoff
    std::uint32_t session;  // fork_order: the spare is to have a session (session.hpp)
    std::uint32_t passed;   // fork_order: the spare waits for clients on `requests`; misfit: it was there
    std::int32_t pid;       // forked: the spare, or -errno; handoff: the command
    std::int32_t group;     // handoff: process group
    char text[k_text];      // ready: the interpreter's version; unfit, unfit_modules, misfit: why
};

/// Fds of ours in a template and its forks are at least this, so that the program gets the numbers that it
/// would get in a plain run.
inline constexpr int k_first_fd = 800;

/// Environment variable by which a template finds what is its own: decimal numbers
/// "control,handoff,listen,board,session,library,rung,changes,requests,alarm,terminal,rows,columns", removed
/// before Python sees it. `session` is quicken-session, `library` is the hook's own fd if it was preloaded by
/// one, else -1. `changes` is the supervisor's inotify(7) instance, -1 if there is none: a spare asks whether
/// events wait, and reads none. `terminal` has bit N set if fd N (0, 1, 2) of the clients is a terminal,
/// `rows` and `columns` are its window's size.
inline constexpr char k_environment[] = "QUICKEN_TEMPLATE";

/// Arguments of a template: interpreter, interpreter options, guard option and code, what (file, module,
/// entry, python), name, instance in hexadecimal, code of an entry or "", names of modules to import in
/// advance (when the fork point is reached), separated by blanks, the file in which commands note what they
/// import late or "" (src/server/learned.hpp), "start" if the fork point is a call (wire.hpp) or "", then the
/// first client's sys.argv. A Python without the hook runs the guard's code and nothing else.
inline constexpr char k_guard_option[] = "-c";
inline constexpr char k_guard_code[] = "raise SystemExit('quicken: the interpreter did not load its hook')";

}  // namespace quicken::control
