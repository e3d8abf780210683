// The spares and the commands of one variant: all its children but the template.
//
// A child is known by its pid from the template's Forked or its own Handoff,
// whichever is handled first, until it is reaped; a pid in the table is
// therefore never another process's. A Forked may come after its spare has been
// reaped: it then only frees the slot. A command's connection is held until its
// end has been reported, by itself or by us: closing it earlier would look to
// the client like the server's death.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "board.hpp"
#include "common/control.hpp"
#include "common/fd.hpp"
#include "common/loop.hpp"

namespace quicken::server {

class Variant;

class Pool {
 public:
    /// What a spare has met; `connection` may be none, if there was no fd left to receive it.
    class Owner {
     public:
        virtual void pool_changed() = 0;                       // a spare or a command came or went
        virtual void stale(Fd connection) = 0;                 // the spare was not fit for this client
        virtual void doubt(Fd connection) = 0;                 // it could not tell whether it was
        virtual void needs_session(const Fd& connection) = 0;  // it has none, and the client has a terminal
        /// The variant is not right for this client. `fds` as with control::k_client_fds.
        virtual void misfit(Variant&, const control::Message& message,
                            std::array<Fd, control::k_client_fds> fds) = 0;

     protected:
        ~Owner() = default;
    };
    /// Whether somebody knows a child with this pid.
    using Known = std::function<bool(pid_t)>;

    Pool(Loop& loop, Board& board, Owner& owner, Variant& variant);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// What spares send on; for their template to inherit.
    int handoff() const { return spares_end_.get(); }
    /// What they set for us to read that.
    int alarm() const { return alarm_.get(); }

    /// A slot for one more spare, if one is wanted to have `wanted` waiting.
    std::optional<std::uint32_t> slot_for_spare(std::size_t wanted);
    /// The answer to an order.
    void forked(const control::Message& message);
    /// There may be a spare that is not known yet.
    bool order_outstanding() const { return !ordered_slots_.empty(); }
    /// The template owes an answer, be it about a spare that is known from its handover.
    bool answer_outstanding() const { return !ordered_slots_.empty() || !unannounced_.empty(); }
    /// The order could not be sent.
    void order_failed(std::uint32_t slot);
    /// The template is gone: what it was ordered and has not answered does not come.
    void forget_orders();
    /// Frees the slots of forgotten orders once nobody can have them. Every template that was dropped must
    /// have been reaped and no order be outstanding, of any pool; `listener` is the socket that spares listen
    /// on.
    void reclaim_lost(int listener, const Known& known);

    /// Ends all spares but so many that have not handed over. False if one of them may have taken a
    /// connection.
    bool retire_spares(std::size_t but = 0);
    /// Reaps the spares, all of them retired: afterwards none holds the listening socket.
    void await_spares();
    /// To the process groups of all commands.
    void signal_commands(int signal) const;
    /// Stops the commands whose clients are stopped by a signal that nobody can relay (SIGSTOP), and
    /// continues those whose clients go on. To be called every now and then.
    void follow_clients();
    bool contains(pid_t pid) const { return children_.contains(pid); }
    bool empty() const { return children_.empty() && lost_.empty(); }
    /// Takes note of the end or stop of a child that it contains.
    void child_changed(const siginfo_t& info);
    /// Of a child that nobody knows.
    void stranger_ended(pid_t pid);
    /// Handles every handover that has been sent.
    void drain();

    std::size_t spares() const;
    /// Whether a client has taken the last spare since this was asked.
    bool ran_out() { return std::exchange(ran_out_, false); }
    std::vector<pid_t> commands() const;
    /// Spares and commands.
    std::vector<pid_t> processes() const;
    std::uint64_t commands_run() const { return commands_run_; }
    /// Spares that ended in a row without having served.
    unsigned wasted() const { return wasted_; }
    /// The last of them could not even be forked.
    bool fork_failed() const { return fork_failed_; }
    /// There is another template, which has wasted none.
    void forgive();

 private:
    struct Child {
        std::uint32_t slot = 0;
        bool command = false;  // it has handed over
        pid_t group = 0;       // of a command
        pid_t client = 0;      // of a command
        bool held = false;     // stopped by us, as its client is
        Fd connection;         // of a command, unless there was no fd left to receive it
        Source hangup;
    };

    void alarm_rings();
    bool receive_one();
    void handed_over(const control::Message& message, Fd connection);
    void client_gone(pid_t pid);
    void report(const Child& child, const siginfo_t& info) const;
    void count_waste(const Child& child, const siginfo_t& info);
    bool has_slot(std::uint32_t slot) const;

    Loop& loop_;
    Board& board_;
    Owner& owner_;
    Variant& variant_;
    Fd our_end_;
    Fd spares_end_;
    Fd alarm_;
    Source rings_;
    std::map<pid_t, Child> children_;
    std::vector<std::uint32_t> ordered_slots_;
    // Ordered, and handed over before the answer came; the slot is not given away again before it has come.
    std::vector<std::uint32_t> unannounced_;
    std::set<pid_t> ended_unknown_;    // reaped while an order was outstanding
    std::vector<std::uint32_t> lost_;  // of orders that were forgotten
    std::uint64_t commands_run_ = 0;
    unsigned wasted_ = 0;
    bool fork_failed_ = false;
    bool ran_out_ = false;
};

}  // namespace quicken::server
