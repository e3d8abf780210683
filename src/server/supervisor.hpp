// The service's main process: which template there is, who waits for one, and
// when to end. Never runs Python.
//
//   idle ──first request──► warming ──ready──► ready ──stale, restart──► warming
//                              │ unfit: next rung of the ladder, then
//                              └──► refusing ──another file, or after a reason that may pass──► warming
//   any ──stop, TERM, idle time──► stopping ──no commands──► exit 0
//
// A template whose trace is not right any more (freshness.hpp) is dropped with its spares at once, so that
// `ready` always means that it was right when it was last looked at. If nobody waits for another one, we are
// `idle` until a client comes or the files have been quiet for a while: twice as long for each template in a
// row that no client has used, so that files which always change cost nothing. A prelude whose own files
// change again and again while it runs is left alone for a while: interpreter rung.
//
// Who accepts: in `ready` only spares do; in all other states but `stopping`
// only the supervisor, and not before the last spare has been reaped: both on
// one socket would have them serve the wrong client. An accept(2) of the supervisor is bounded all the same.
//
// Idle exit against a connection: the exit happens only if every spare was
// retired before it had taken one (control.hpp). What is still in the
// listening queue stays there for the next server if the socket is the
// manager's; if it is ours its path is unlinked first, and closing resets what
// is queued: at once also when commands still run, so that a client that comes
// while we are stopping starts the next server. A client that is reset before `started` connects anew, so no
// order of events loses a run.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "advance.hpp"
#include "board.hpp"
#include "common/fd.hpp"
#include "connection.hpp"
#include "freshness.hpp"
#include "loop.hpp"
#include "pool.hpp"
#include "program.hpp"
#include "template_process.hpp"
#include "trace.hpp"

namespace quicken::server {

/// Which file a path names; see stat(2).
struct FileId {
    dev_t device;
    ino_t inode;
    friend bool operator==(const FileId&, const FileId&) = default;
};

std::optional<FileId> file_id(const std::string& path);

enum class State { idle, warming, ready, refusing, stopping };

/// How the server came to be.
struct Place {
    Fd listener;
    std::string instance;   // 32 hexadecimal digits, from the socket's name
    std::string directory;  // of the socket
    std::string own_path;   // the socket's path if it is ours to unlink; empty under systemd
    std::string library;    // the hook
    Fd session;             // quicken-session
    Trace own;              // quicken's files, as they were when the server started
    rlimit fd_limit{};      // RLIMIT_NOFILE for templates
};

class Supervisor {
 public:
    Supervisor(Loop& loop, Place place);

    void stop(bool now);
    /// Another template for what is served now; commands go on.
    void restart();

    State state() const { return state_; }
    const char* state_name() const;
    const Place& place() const { return place_; }
    const Program* program() const { return program_ ? &*program_ : nullptr; }
    const Pool& pool() const { return pool_; }
    const std::string& reason() const { return reason_; }
    /// What has made the last template that was dropped for it stale; empty if none was.
    const std::string& stale_reason() const { return stale_reason_; }
    const std::string& interpreter_version() const { return version_; }
    /// "prelude", "interpreter", or "" while there is no template.
    const char* rung_name() const;
    double idle_timeout() const { return idle_timeout_; }
    /// Of the template; 0 if there is none.
    pid_t template_pid() const { return template_ ? template_->pid() : 0; }
    /// Called when something that status shows has changed.
    void on_change(std::function<void()> callback) { changed_ = std::move(callback); }
    /// Called once the socket's path has been given up, with the directory still locked: what else is at a
    /// path of ours must go before another server starts.
    void on_leave(std::function<void()> callback) { left_ = std::move(callback); }

 private:
    void set_state(State state, std::string reason = {});
    void update_accepting();
    void accept_client();
    void request_complete(Connection& connection, std::optional<Program> program);
    void first_request(Connection& connection, Program program);
    void drop(const Connection& connection);
    bool apply_settings(const Connection& connection, const Program& program);

    void warm(control::Rung rung);
    void start_template(control::Rung rung);
    void template_said(const control::Message& message, Fd passed);
    void template_ready(const control::Message& message, const Fd& trace);
    std::optional<std::string> begin_trace(const Fd& memory);
    void stale_at_once(const std::string& what);
    void template_unfit(const control::Message& message, const Fd& passed);
    void follow_learning();
    void template_ended(const siginfo_t& info);
    void template_lost(const std::string& how, bool passing);
    void watch_orders();
    void next_rung(control::Rung failed, const std::string& reason, bool passing = false);
    void refuse(const std::string& reason, bool passing = false);
    bool still_refused(const Program& program) const;
    void settle_orders();
    void drop_template();
    void discard_template();
    void reclaim_lost();
    void stale(Fd connection);
    void doubt(Fd connection);
    void hold(Fd connection);
    void look();
    void act_on(const Freshness::Seen& seen);
    void look_away();
    void went_stale(const std::string& what);
    void await_quiet();
    void upgraded(const std::string& what);
    void needs_session(const Fd& connection);
    void misfit();

    void pool_changed();
    void order_spares();
    void child_ended();
    bool reap_one();
    void follow_clients();
    void update_idle_timer();
    void idle_time_over();
    bool give_up_socket(double seconds);
    void leave_socket();
    void end();

    using Clock = std::chrono::steady_clock;

    Loop& loop_;
    Place place_;
    Board board_;
    Freshness freshness_;
    Pool pool_;
    State state_ = State::idle;
    std::string reason_;
    std::string stale_reason_;
    std::string version_;
    std::optional<Program> program_;
    std::unique_ptr<TemplateProcess> template_;
    std::set<pid_t> dropped_templates_;  // killed, not yet reaped
    std::optional<FileId> own_socket_;   // what is at own_path as long as that is ours
    Clock::time_point ready_since_;
    Clock::time_point refusing_since_;
    control::Rung rung_ = control::Rung::prelude;  // of the template, or of the last one
    bool passing_ = false;                         // the reason to refuse may pass
    unsigned early_losses_ = 0;                    // templates lost in a row soon after they were ready
    unsigned stale_starts_ = 0;                    // templates in a row that were stale when they were ready
    double quiet_ = 0;                             // s without changes before a template is made for nobody
    Advance advance_;
    double learn_pause_;                   // s without commands before what they have noted is looked at
    std::uint64_t looked_at_learned_ = 0;  // commands run then
    double churn_pause_ = 0;               // s on the interpreter rung because of stale_starts_
    std::uint64_t used_before_ = 0;        // commands run before this template was ready
    unsigned vain_doubts_ = 0;             // in a row, each within k_vain of the one before
    Clock::time_point last_doubt_;
    std::list<Connection> held_;
    std::string upgrade_;              // what of quicken has changed, if it is not what it was
    unsigned misfits_ = 0;             // in a row
    std::uint64_t run_at_misfit_ = 0;  // commands
    bool sessions_ = false;            // spares are made with a session: a client has had a terminal
    double idle_timeout_;
    std::function<void()> changed_;
    std::function<void()> left_;
    Source accepting_;
    Source children_;
    Source terminate_;
    Source interrupt_;
    Source idle_timer_;
    Source warm_timer_;
    Source order_timer_;
    Source accept_timer_;
    Source stop_timer_;
    Source follow_timer_;
    Source changes_;
    Source quiet_timer_;
    Source churn_timer_;
    Source learn_timer_;
    Source away_timer_;
};

}  // namespace quicken::server
