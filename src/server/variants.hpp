// All variants of a server's program: which one listens, which one is right
// for a client, how many there may be.
//
// At most k_max_variants side by side; the least recently used one goes, never
// the one that listens. Another one listens once it has served several clients
// in a row: to be passed on costs a client a spare's look at it and ours. If
// variants are dropped again and again before they were of use to a second
// client, what tells the clients apart is taken to be different for each:
// none is made for a while, and those clients run plainly.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "common/loop.hpp"
#include "variant.hpp"

namespace quicken::server {

class Variants {
 public:
    using List = std::list<std::unique_ptr<Variant>>;

    Variants(Variant::Common& common, Variant::Owner& owner) : common_(common), owner_(owner) {}

    /// Most recently used first; dropped ones are among them until they are purged.
    const List& all() const { return all_; }
    /// The one whose spares listen, or nullptr.
    Variant* listening() const { return listening_; }
    bool some_is(Variant::State state) const;

    /// A new one, warming; its spares are to listen if there is none whose do. Throws Error.
    Variant& add(std::shared_ptr<const Program> program);
    /// Drops the least recently used one if there are too many.
    void make_room();
    /// One that is ready and right for this client, or nullptr.
    Variant* right_for(const Program& program) const;
    /// A client was passed to it. True if it listens from now on.
    bool used(Variant& variant);
    void drop_all();
    /// Forgets those of which nothing is left. Not to be called from within one of them.
    void purge();

    /// New ones are not worth while.
    bool paused() const { return static_cast<bool>(pause_timer_); }
    void pause();

    std::vector<pid_t> commands() const;
    /// All children: templates, spares, commands.
    std::vector<pid_t> processes() const;
    std::size_t spares() const;
    bool order_outstanding() const;
    std::uint64_t commands_run() const;

    void drain();
    void order_spares();
    void follow_clients();
    /// False if one of them may have taken a connection.
    bool retire_spares();
    void settle_orders();
    void await_spares();
    void signal_commands(int signal) const;
    /// The end or stop of any child.
    void child_changed(const siginfo_t& info);
    void reclaim_lost();

 private:
    void listen(Variant* variant);
    void note_use(const Variant& variant);

    static constexpr double k_first_pause = 10;  // s

    Variant::Common& common_;
    Variant::Owner& owner_;
    List all_;
    Variant* listening_ = nullptr;
    const Variant* last_used_ = nullptr;  // only to be compared
    unsigned used_in_a_row_ = 0;
    std::uint64_t listening_run_ = 0;  // commands of the listening one when another was last used
    std::uint64_t purged_run_ = 0;     // commands of those that are gone
    unsigned vain_ = 0;                // dropped in a row without having been of use
    double pause_ = k_first_pause;     // s
    Source pause_timer_;
};

}  // namespace quicken::server
