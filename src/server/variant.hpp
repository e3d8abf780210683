// One template with its spares and commands: made for the client whose request
// it keeps, right for all of whom its key (common/key.hpp) says the same.
//
//   warming ──ready──► ready ──lost──► warming
//      │ unfit: the next rung of the ladder, then
//      └──► refused
//   any ──drop()──► dropped: serves nobody any more; `empty` once its last child has been reaped
//
// Its spares wait either on the server's listening socket, which only one of all variants does, or for
// clients that the supervisor passes on.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "advance.hpp"
#include "board.hpp"
#include "common/fd.hpp"
#include "common/key.hpp"
#include "common/loop.hpp"
#include "connection.hpp"
#include "demand.hpp"
#include "findings.hpp"
#include "place.hpp"
#include "pool.hpp"
#include "program.hpp"
#include "template_process.hpp"
#include "trace.hpp"

namespace quicken::server {

class Variant {
 public:
    enum class State { warming, ready, refused, dropped };

    /// Whom a variant tells what happens to it. Any of these may drop it.
    class Owner : public Pool::Owner {
     public:
        /// Another template is to be started. False if none may be; the variant has been dropped then.
        virtual bool may_warm(Variant&) = 0;
        /// What the new template has read is known; returns what of it has changed since.
        virtual std::optional<std::string> begin(Variant&) = 0;
        virtual void stale_at_once(Variant&, const std::string& what) = 0;
        virtual void ready(Variant&) = 0;
        /// No rung is left. `passing`: for a reason that may pass.
        virtual void refused(Variant&, const std::string& reason, bool passing) = 0;

     protected:
        ~Owner() = default;
    };

    /// What all variants of a server share; outlives them.
    struct Common {
        Loop& loop;
        Board& board;
        const Place& place;
        int changes;    // the inotify(7) instance, or -1
        bool sessions;  // spares are made with a session: a client has had a terminal
    };

    Variant(Common& common, Owner& owner, std::shared_ptr<const Program> program);
    Variant(const Variant&) = delete;
    Variant& operator=(const Variant&) = delete;

    /// Makes the template from the top of the ladder. May call the owner before it returns.
    void warm();
    /// Another one on the same rung.
    void warm_again() { start_template(rung_); }
    /// The program cannot be served from here.
    void next_rung(control::Rung failed, const std::string& reason, bool passing = false);
    void drop();
    bool empty() const { return state_ == State::dropped && pool_.empty() && ending_.empty(); }

    State state() const { return state_; }
    control::Rung rung() const { return rung_; }
    const std::string& reason() const { return reason_; }
    const Program& program() const { return *program_; }
    const std::shared_ptr<const Program>& shared_program() const { return program_; }
    const Pool& pool() const { return pool_; }
    const Trace& trace() const { return trace_; }
    /// Of its templates, for people.
    const std::shared_ptr<Findings>& findings() const { return findings_; }
    const std::string& interpreter_version() const { return version_; }
    /// What its templates import in advance.
    Advance& advance() { return advance_; }
    pid_t template_pid() const { return template_ ? template_->pid() : 0; }

    /// nullptr, or what is different for this client in what a ready template has read.
    const char* difference(const Program& program);
    /// Hands a client to a spare, now or when there is one. False if that cannot be.
    bool pass(const Connection& client);

    /// Whether its spares wait on the listening socket.
    void listen(bool listening);
    /// `least` and what the demand is for beyond it.
    void order_spares(std::size_t least);
    /// Ends the spares, for others to be made. As Pool::retire_spares.
    bool retire_spares() { return pool_.retire_spares(); }
    void await_spares();
    void signal_commands(int signal) const { pool_.signal_commands(signal); }
    void follow_clients() { pool_.follow_clients(); }
    void settle_orders();
    void drain() { pool_.drain(); }

    bool owns(pid_t pid) const;
    /// Of a process that it owns.
    void child_changed(const siginfo_t& info);
    /// Of one that none of us knows.
    void stranger_ended(pid_t pid) { pool_.stranger_ended(pid); }
    /// Nothing is on its way that could be one of ours unknown.
    bool is_settled() const { return ending_.empty() && !pool_.order_outstanding(); }
    void reclaim_lost(const Pool::Known& known) { pool_.reclaim_lost(common_.place.listener.get(), known); }

 private:
    void start_template(control::Rung rung);
    void template_said(const control::Message& message, Fd passed);
    void template_ready(const control::Message& message, const Fd& memory);
    void template_unfit(const control::Message& message, const Fd& memory);
    void template_ended(const siginfo_t& info);
    void template_lost(const std::string& how, bool passing);
    void drop_template();
    void discard_template();
    void read_trace(const Fd& memory);
    void watch_orders();
    bool order_spare(std::size_t wanted);
    void order_more(std::size_t least);
    void follow_demand(std::size_t least);
    void open_requests();
    void return_clients();

    using Clock = std::chrono::steady_clock;

    Common& common_;
    Owner& owner_;
    std::shared_ptr<const Program> program_;
    Pool pool_;
    State state_ = State::warming;
    control::Rung rung_ = control::Rung::prelude;
    std::string reason_;
    std::string version_;
    Advance advance_;
    std::unique_ptr<TemplateProcess> template_;
    std::set<pid_t> ending_;  // templates that were killed and are not reaped yet
    Trace trace_;
    std::shared_ptr<Findings> findings_ = std::make_shared<Findings>();
    std::unique_ptr<Key> key_;
    bool listening_ = false;
    Fd our_requests_;
    Fd spares_requests_;
    Clock::time_point ready_since_;
    unsigned early_losses_ = 0;  // templates lost in a row soon after they were ready
    Demand demand_;
    Source ebb_timer_;
    Source more_timer_;
    Source warm_timer_;
    Source order_timer_;
};

}  // namespace quicken::server
