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

#include <array>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "board.hpp"
#include "common/fd.hpp"
#include "common/loop.hpp"
#include "connection.hpp"
#include "findings.hpp"
#include "freshness.hpp"
#include "history.hpp"
#include "pace.hpp"
#include "place.hpp"
#include "program.hpp"
#include "variants.hpp"

namespace quicken::server {

enum class State { idle, warming, ready, refusing, stopping };

class Supervisor : private Variant::Owner {
 public:
    Supervisor(Loop& loop, Place place);

    void stop(bool now);
    /// Another template for what is served now; commands go on.
    void restart();

    State state() const { return state_; }
    const char* state_name() const;
    const Place& place() const { return place_; }
    const Program* program() const { return program_.get(); }
    /// Reads the handoffs that no alarm has told of yet: then it knows all commands that run.
    void catch_up();
    const Variants& variants() const { return variants_; }
    const std::string& reason() const { return reason_; }
    /// What has made the last template that was dropped for it stale; empty if none was.
    std::string stale_reason() const { return history_.last(); }
    const History& history() const { return history_; }
    /// Of the last program that no rung could serve; nullptr if there is none.
    const Findings* given_up() const { return given_up_.get(); }
    /// Why changes of files are not told; empty if they are.
    const std::string& blind() const { return freshness_.blind(); }
    const std::string& interpreter_version() const { return version_; }
    /// "prelude", "interpreter", or "" while there is no template.
    const char* rung_name() const;
    double idle_timeout() const { return idle_timeout_; }
    /// Called when something that status shows has changed.
    void on_change(std::function<void()> callback) { changed_ = std::move(callback); }
    /// Called once the socket's path has been given up, with the directory still locked: what else is at a
    /// path of ours must go before another server starts.
    void on_leave(std::function<void()> callback) { left_ = std::move(callback); }

 private:
    void set_state(State state, std::string reason = {});
    void update_accepting();
    void accept_client();
    void request_complete(Connection& connection);
    void first_request(Connection& connection);
    void drop(const Connection& connection);
    void refuse_one(const Connection& connection, const std::string& reason);
    void send_held_back();
    void refuse_held(const std::string& reason);

    bool is_listening(const Variant& variant) const { return &variant == variants_.listening(); }
    void warm();
    bool may_warm(Variant& variant) override;
    std::optional<std::string> begin(Variant& variant) override;
    void stale_at_once(Variant& variant, const std::string& what) override;
    void ready(Variant& variant) override;
    void refused(Variant& variant, const std::string& reason, bool passing) override;
    void follow_learning();
    void refuse(const std::string& reason, bool passing = false);
    bool still_refused(const Program& program) const;

    void misfit(Variant& variant, const control::Message& message,
                std::array<Fd, control::k_client_fds> fds) override;
    void find_template(const Connection& client, const std::string& reason);
    void pass(const Connection& client, Variant& variant);
    void serve_clients_of(Variant& variant);
    void serve_held();
    void refuse_client_of(const Variant& variant, const std::string& reason);

    void stale(Fd connection) override;
    void doubt(Fd connection) override;
    void needs_session(const Fd& connection) override;
    void hold(Fd connection);
    void look();
    void act_on(const Freshness::Seen& seen);
    void look_away();
    void went_stale(const std::string& what);
    void await_quiet();
    void upgraded(const std::string& what);

    void pool_changed() override;
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
    Variant::Common common_;
    Variants variants_;
    State state_ = State::idle;
    std::string reason_;
    History history_;
    std::shared_ptr<const Findings> given_up_;
    std::string version_;
    std::shared_ptr<const Program> program_;  // of the variant that listens, or of the next one to
    std::optional<FileId> own_socket_;        // what is at own_path as long as that is ours
    Clock::time_point refusing_since_;
    bool passing_ = false;  // the reason to refuse may pass
    Pace pace_;
    std::uint64_t used_before_ = 0;  // commands run before the last template was ready
    std::list<Connection> held_;
    std::string upgrade_;  // what of quicken has changed, if it is not what it was
    double idle_timeout_;
    std::function<void()> changed_;
    std::function<void()> left_;
    Source accepting_;
    Source children_;
    Source terminate_;
    Source interrupt_;
    Source idle_timer_;
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
