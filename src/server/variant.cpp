#include "variant.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "common/error.hpp"
#include "common/learning.hpp"
#include "log.hpp"
#include "message.hpp"

namespace quicken::server {

namespace {

constexpr double k_warm_timeout = 60;       // s for a prelude; then the next rung
constexpr unsigned k_max_wasted = 10;       // spares lost in a row before the template is at fault
constexpr int k_fork_answer = 200;          // ms
constexpr double k_order_timeout = 5;       // s for a fork, before the template counts as hanging
constexpr double k_early = 10;              // s after ready: a template lost sooner is at fault itself
constexpr unsigned k_max_early_losses = 3;  // in a row; then the next rung

}  // namespace

Variant::Variant(Common& common, Owner& owner, std::shared_ptr<const Program> program)
    : common_(common),
      owner_(owner),
      program_(std::move(program)),
      pool_(common.loop, common.board, owner, *this) {
    open_requests();
}

void Variant::open_requests() {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw_errno("make", "a socket pair");
    our_requests_ = Fd(ends[0]);
    spares_requests_ = Fd(ends[1]);
}

// --- the template --------------------------------------------------------------------

void Variant::warm() {
    reason_.clear();
    advance_.begin(learning_path(program_->variable("XDG_STATE_HOME"), program_->variable("HOME"),
                                 common_.place.instance),
                   program_->preloads());
    start_template(control::Rung::prelude);
}

void Variant::start_template(control::Rung rung) {
    if (!owner_.may_warm(*this)) return;
    rung_ = rung;
    state_ = State::warming;
    const Inheritance inheritance{common_.place.listener.get(),
                                  common_.board.fd(),
                                  pool_.handoff(),
                                  common_.place.session.get(),
                                  common_.changes,
                                  spares_requests_.get(),
                                  pool_.alarm(),
                                  common_.place.fd_limit};
    try {
        template_ = std::make_unique<TemplateProcess>(common_.loop, *program_, rung, inheritance,
                                                      common_.place.library, advance_,
                                                      [this](const control::Message& message, Fd passed) {
                                                          template_said(message, std::move(passed));
                                                      });
    } catch (const Error& error) {
        state_ = State::refused;
        return owner_.refused(*this, error.what(), error.code() != 0);
    }
    pool_.forgive();
    warm_timer_ = common_.loop.after(k_warm_timeout, [this, rung] {
        drop_template();
        next_rung(rung, fmt::format("it is not ready after {} s", k_warm_timeout));
    });
}

void Variant::template_said(const control::Message& message, Fd passed) {
    findings_->note(message, passed);
    switch (message.kind) {
        case control::MessageKind::ready:
            return template_ready(message, passed);
        case control::MessageKind::unfit:
        case control::MessageKind::unfit_modules:
            return template_unfit(message, passed);
        case control::MessageKind::forked:
            pool_.forked(message);
            order_timer_.reset();
            watch_orders();
            return owner_.pool_changed();
        default:
            log(Level::warning, "the template sent a message of kind {}",
                static_cast<unsigned>(message.kind));
    }
}

/// Throws Error for what is no trace.
void Variant::read_trace(const Fd& memory) {
    trace_ = memory ? Trace::read(memory) : Trace();
    key_ = std::make_unique<Key>();
    if (!key_->read(trace_.records().data(), trace_.records().size())) throw Error("no memory for the trace");
}

void Variant::template_ready(const control::Message& message, const Fd& memory) {
    if (state_ != State::warming) return;
    warm_timer_.reset();
    try {
        read_trace(memory);
        if (const auto changed = owner_.begin(*this)) {
            drop_template();
            return owner_.stale_at_once(*this, *changed);
        }
    } catch (const Error& error) {
        const std::string reason = error.what();
        drop_template();
        return next_rung(rung_, reason);
    }
    ready_since_ = Clock::now();
    version_ = message.text;
    state_ = State::ready;
    log(Level::info, "ready, rung: {}", rung_ == control::Rung::prelude ? "prelude" : "interpreter");
    if (const std::string modules = advance_.modules(); !modules.empty())
        log(Level::info, "imported in advance: {}", modules);
    owner_.ready(*this);
}

void Variant::template_unfit(const control::Message& message, const Fd& memory) {
    if (state_ != State::warming) return;
    const std::string reason = message.text;
    const control::Rung rung = message.rung;
    const bool again = advance_.gave_up(message, memory);
    drop_template();
    if (!again) return next_rung(rung, reason);
    log(Level::info, "fewer modules are imported in advance: {}", reason);
    if (!program_->preloads().empty()) reason_ = reason;
    start_template(rung);
}

void Variant::next_rung(control::Rung failed, const std::string& reason, bool passing) {
    log(Level::info, "{} cannot be served {}: {}", program_->name(),
        failed == control::Rung::prelude ? "from its prelude" : "at all", reason);
    early_losses_ = 0;
    reason_ = reason;
    if (failed == control::Rung::prelude) return start_template(control::Rung::interpreter);
    state_ = State::refused;
    owner_.refused(*this, reason, passing);
}

/// Waits for the answers to all orders, so that no spare is born unknown.
void Variant::settle_orders() {
    for (int i = 0; i < 5 && template_ && pool_.order_outstanding(); ++i) template_->drain(k_fork_answer);
}

void Variant::drop_template() {
    settle_orders();
    discard_template();
}

void Variant::discard_template() {
    if (!template_) return;
    if (template_->pid() > 0) ending_.insert(template_->pid());
    template_.reset();
    pool_.forget_orders();
    warm_timer_.reset();
    order_timer_.reset();
}

void Variant::drop() {
    drop_template();
    pool_.retire_spares();
    state_ = State::dropped;
    return_clients();
    our_requests_.reset();
    spares_requests_.reset();
}

/// A template that does not answer is stopped, or a fork handler of the program's hangs.
void Variant::watch_orders() {
    if (order_timer_ || !template_ || !pool_.answer_outstanding()) return;
    order_timer_ = common_.loop.after(k_order_timeout, [this] {
        order_timer_.reset();
        if (state_ != State::ready) return;
        discard_template();  // it is not waited for once more
        template_lost(fmt::format("it has not forked within {} s", k_order_timeout), true);
    });
}

void Variant::template_ended(const siginfo_t& info) {
    template_->reaped();
    template_->drain(0);
    if (!template_ || template_->pid() != 0) return;  // its last packet said why
    const bool was_ready = state_ == State::ready;
    const bool exited = info.si_code == CLD_EXITED;
    const std::string how =
        fmt::format("{} {} {}", program_->interpreter(),
                    exited ? "ended with status" : "was killed by signal", info.si_status);
    if (was_ready) return template_lost(how, !exited);
    drop_template();
    if (state_ == State::dropped) return;
    log(Level::warning, "the template is gone: {}", how);
    pool_.retire_spares();
    next_rung(rung_, how, !exited);
}

/// One that was ready. Another is made on the same rung, unless that has been of no use several times.
void Variant::template_lost(const std::string& how, bool passing) {
    log(Level::warning, "the template is gone: {}", how);
    drop_template();
    pool_.retire_spares();
    const double age = std::chrono::duration<double>(Clock::now() - ready_since_).count();
    early_losses_ = age < k_early ? early_losses_ + 1 : 0;
    if (early_losses_ >= k_max_early_losses) return next_rung(rung_, how, passing);
    start_template(rung_);
}

// --- clients -------------------------------------------------------------------------

const char* Variant::difference(const Program& program) {
    if (state_ != State::ready || !key_) return "there is no template";
    const std::string directory = fmt::format("/proc/self/fd/{}", program.directory.get());
    return key_->difference({program.request, program.body.c_str(), directory.c_str()});
}

bool Variant::pass(const Connection& client) {
    if (state_ != State::ready || listening_) return false;
    return send_client(our_requests_.get(), client);
}

void Variant::listen(bool listening) {
    if (listening_ == listening) return;
    settle_orders();  // what is ordered is a spare of the other kind: it goes too
    listening_ = listening;
    pool_.retire_spares();
    return_clients();
}

/// Those whom no spare has taken, and none will: they connect anew.
void Variant::return_clients() {
    for (;;) {
        const Packet packet = receive_packet(spares_requests_.get());
        if (!packet.complete()) return;
        if (packet.fds[0]) send_reply(packet.fds[0].get(), wire::ReplyKind::retry, 0, 0, {});
    }
}

// --- children ------------------------------------------------------------------------

void Variant::order_spares(std::size_t least) {
    if (state_ != State::ready) return;
    if (pool_.wasted() > k_max_wasted) {
        const bool fork_failed = pool_.fork_failed();
        drop_template();
        pool_.retire_spares();
        state_ = State::refused;
        reason_ = fork_failed ? "the template cannot fork" : "spares end before they have served";
        return owner_.refused(*this, reason_, fork_failed);
    }
    follow_demand(least);
    while (order_spare(least)) continue;
    watch_orders();
    order_more(least);
}

/// Those beyond: one after the other, and not while what has taken one may still be running.
void Variant::order_more(std::size_t least) {
    if (more_timer_ || demand_.more() == 0 || pool_.spares() >= least + demand_.more()) return;
    more_timer_ = common_.loop.after(Demand::k_pause, [this, least] {
        more_timer_.reset();
        if (state_ != State::ready || pool_.order_outstanding()) return;  // the answer brings us back
        order_spare(least + demand_.more());
        watch_orders();
    });
}

/// False if there are so many, or it cannot be had.
bool Variant::order_spare(std::size_t wanted) {
    const auto slot = pool_.slot_for_spare(wanted);
    if (!slot) return false;
    if (template_->order_spare(*slot, common_.sessions, !listening_)) return true;
    pool_.order_failed(*slot);  // it is gone: SIGCHLD is on its way
    return false;
}

void Variant::follow_demand(std::size_t least) {
    // Of the others each client takes the only one.
    if (pool_.ran_out() && listening_) {
        demand_.ran_out(Demand::Clock::now());
        ebb_timer_.reset();
    }
    if (ebb_timer_ || demand_.more() == 0) return;
    ebb_timer_ = common_.loop.after(Demand::k_ebb, [this, least] {
        ebb_timer_.reset();
        demand_.ebb();
        if (state_ == State::ready) pool_.retire_spares(least + demand_.more());
        follow_demand(least);
    });
}

bool Variant::owns(pid_t pid) const {
    return (template_ && template_->pid() == pid) || ending_.contains(pid) || pool_.contains(pid);
}

void Variant::child_changed(const siginfo_t& info) {
    if (pool_.contains(info.si_pid)) return pool_.child_changed(info);
    if (info.si_code == CLD_STOPPED) return;
    if (template_ && template_->pid() == info.si_pid) return template_ended(info);
    ending_.erase(info.si_pid);
}

void Variant::await_spares() {
    pool_.await_spares();
    for (const pid_t pid : ending_) waitpid(pid, nullptr, 0);
    ending_.clear();
}

}  // namespace quicken::server
