#include "supervisor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <thread>

#include "common/error.hpp"
#include "common/learning.hpp"
#include "log.hpp"

namespace quicken::server {

namespace {

constexpr double k_default_idle_timeout = 86400;  // s
constexpr double k_no_program_timeout = 10;       // s without a first request, or refusing
constexpr double k_warm_timeout = 60;             // s for a prelude; then the next rung
constexpr double k_stop_timeout = 10;             // s for commands to end by themselves
constexpr double k_kill_timeout = 2;              // s more after TERM
constexpr double k_retry_exit = 0.5;              // s until the next try if somebody else holds the directory
constexpr std::size_t k_spares = 2;
constexpr unsigned k_max_wasted = 10;       // spares lost in a row before the template is at fault
constexpr int k_fork_answer = 200;          // ms
constexpr double k_order_timeout = 5;       // s for a fork, before the template counts as hanging
constexpr double k_early = 10;              // s after ready: a template lost sooner is at fault itself
constexpr unsigned k_max_early_losses = 3;  // in a row; then the next rung
constexpr double k_passing = 1;             // s until it is tried again after a reason that may pass
constexpr double k_accept_pause = 0.1;      // s, while there are no fds
constexpr unsigned k_max_misfits = 3;       // clients in a row that a template does not fit
constexpr double k_follow = 0.2;            // s between looks at the clients of running commands
constexpr double k_lock_timeout = 0.5;      // s for the directory's lock when told to stop
constexpr double k_max_seconds = 1e9;       // no timer is longer
constexpr double k_quiet = 0.2;             // s
constexpr double k_max_pause = 3600;        // s, of what is doubled
constexpr unsigned k_max_stale_starts = 3;
constexpr double k_churn_pause = 10;           // s
constexpr double k_looks_in = 0.1;             // s; a client in doubt does not wait for it
constexpr unsigned k_looks = 10;               // at changes in that time
constexpr double k_vain = 1;                   // s
constexpr unsigned k_max_vain = 3;             // doubts for nothing, before spares look for themselves
constexpr double k_away = 1;                   // s for which they do
constexpr double k_learn_pause = 1;            // s; twice as long after each template that is made for it
constexpr std::uint64_t k_learn_commands = 3;  // commands

/// Seconds, or nothing if `text` is not a number >= 0.
std::optional<double> parse_seconds(const char* text) {
    double value = 0;
    const char* end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, value);
    if (error != std::errc{} || stopped != end || !std::isfinite(value) || value < 0) return std::nullopt;
    return std::min(value, k_max_seconds);
}

double seconds_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

/// accept(2) within a jiffy or two. The socket's open file is the spares' too, so it must not be
/// non-blocking: the limit is read when a call starts, and no spare that may serve starts one while we
/// accept.
Fd accept_soon(int listener) {
    const timeval limit{0, 1};
    const timeval none{};
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    Fd socket(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    const int error = errno;
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
    errno = error;
    return socket;
}

/// Empty, or why this cannot be the log. A pipe could block us, and every command with us.
std::string open_log(const char* path) {
    if (*path != '/') return "it is not an absolute path";
    Fd file(open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
    struct stat status {};
    if (!file && errno != ENXIO) return errno_text(errno);
    // ENXIO: a socket, or a FIFO that nobody reads (open(2)).
    if (!file || fstat(file.get(), &status) != 0 || !(S_ISREG(status.st_mode) || S_ISCHR(status.st_mode))) {
        return "it is neither a regular file nor a character device";
    }
    log_to(std::move(file));
    return {};
}

}  // namespace

std::optional<FileId> file_id(const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return std::nullopt;
    return FileId{status.st_dev, status.st_ino};
}

Supervisor::Supervisor(Loop& loop, Place place)
    : loop_(loop),
      place_(std::move(place)),
      freshness_(board_),
      pool_(loop, board_,
            {[this] { pool_changed(); }, [this](Fd connection) { stale(std::move(connection)); },
             [this](Fd connection) { doubt(std::move(connection)); },
             [this](const Fd& connection) { needs_session(connection); }, [this] { misfit(); }}),
      quiet_(k_quiet),
      learn_pause_(k_learn_pause),
      churn_pause_(k_churn_pause),
      idle_timeout_(k_default_idle_timeout) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw_errno("become", "the reaper of all commands");
    if (!place_.own_path.empty()) own_socket_ = file_id(place_.own_path);
    accepting_ = loop.on_io(place_.listener.get(), EPOLLIN, [this](std::uint32_t) { accept_client(); });
    children_ = loop.on_signal(SIGCHLD, [this] { child_ended(); });
    terminate_ = loop.on_signal(SIGTERM, [this] { stop(false); });
    interrupt_ = loop.on_signal(SIGINT, [this] { stop(false); });
    if (freshness_.fd() >= 0) {
        changes_ = loop.on_io(freshness_.fd(), EPOLLIN, [this](std::uint32_t) { look(); });
        changes_.limit(k_looks_in, k_looks);
        changes_.enable(false);
    }
    update_idle_timer();
}

const char* Supervisor::state_name() const {
    switch (state_) {
        case State::idle:
            return "idle";
        case State::warming:
            return "warming";
        case State::ready:
            return "ready";
        case State::refusing:
            return "refusing";
        case State::stopping:
            return "stopping";
    }
    return "";
}

const char* Supervisor::rung_name() const {
    if (!template_ || state_ != State::ready) return "";
    return template_->rung() == control::Rung::prelude ? "prelude" : "interpreter";
}

void Supervisor::set_state(State state, std::string reason) {
    state_ = state;
    reason_ = std::move(reason);
    // In other states nobody serves, and what has happened is looked at before somebody does.
    changes_.enable(state_ == State::ready);
    update_accepting();
    update_idle_timer();
    if (changed_) changed_();
}

// --- clients that the supervisor accepts ----------------------------------------

void Supervisor::update_accepting() {
    const bool ours = state_ == State::idle || state_ == State::warming || state_ == State::refusing;
    accepting_.enable(ours && !accept_timer_ && pool_.spares() == 0 && !pool_.order_outstanding());
}

void Supervisor::accept_client() {
    Fd socket = accept_soon(place_.listener.get());
    if (!socket) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;  // the client went away
        log(Level::warning, "accept a client: {}", errno_text(errno));
        accept_timer_ = loop_.after(k_accept_pause, [this] {
            accept_timer_.reset();
            update_accepting();
        });
        return update_accepting();
    }
    held_.emplace_back(loop_, std::move(socket),
                       [this](Connection& connection, std::optional<Program> program) {
                           request_complete(connection, std::move(program));
                       });
    update_idle_timer();
}

void Supervisor::drop(const Connection& connection) {
    held_.remove_if([&connection](const Connection& each) { return &each == &connection; });
    update_idle_timer();
}

void Supervisor::request_complete(Connection& connection, std::optional<Program> program) {
    if (!program) return drop(connection);
    const wire::Instance expected = program->expected_instance();
    if (!(expected == program->request.instance)) {
        connection.reply(
            wire::ReplyKind::refused, 0,
            "the server does not arrive at the client's instance (are its groups the client's?)");
        return drop(connection);
    }
    if (still_refused(*program)) {
        connection.reply(wire::ReplyKind::refused, 0, reason_);
        return drop(connection);
    }
    if (state_ == State::ready || state_ == State::stopping) {
        connection.reply(wire::ReplyKind::retry, 0, {});
        return drop(connection);
    }
    connection.reply(wire::ReplyKind::warming, 0, {});
    if (state_ != State::warming) first_request(connection, std::move(*program));
}

bool Supervisor::still_refused(const Program& program) const {
    if (state_ != State::refusing || !program_ || program_->request.script != program.request.script)
        return false;
    return !passing_ || seconds_since(refusing_since_) < k_passing;
}

void Supervisor::first_request(Connection& connection, Program program) {
    if (!apply_settings(connection, program)) return drop(connection);
    program_ = std::move(program);
    sessions_ = sessions_ || (program_->request.terminal & wire::k_has_terminal) != 0;
    log(Level::info, "warming {} {} for {}", program_->what(), program_->name(), program_->interpreter());
    warm(control::Rung::prelude);
}

/// Settings of the server come with the environment of its first client. False if the client is told why not.
bool Supervisor::apply_settings(const Connection& connection, const Program& program) {
    if (const char* text = program.variable("QUICKEN_IDLE_TIMEOUT"); text != nullptr && *text != '\0') {
        const auto seconds = parse_seconds(text);
        if (!seconds) log(Level::warning, "QUICKEN_IDLE_TIMEOUT={}: not a number of seconds", text);
        idle_timeout_ = seconds.value_or(k_default_idle_timeout);
    }
    const char* path = program.variable("QUICKEN_LOG_FILE");
    if (path == nullptr || *path == '\0') return true;
    const std::string reason = open_log(path);
    if (reason.empty()) return true;
    connection.reply(wire::ReplyKind::failed, 1,
                     fmt::format("quicken: QUICKEN_LOG_FILE={}: {}", path, reason));
    return false;
}

// --- the template ------------------------------------------------------------------

void Supervisor::warm(control::Rung rung) {
    if (rung == control::Rung::prelude) {
        advance_.begin(
            learning_path(program_->variable("XDG_STATE_HOME"), program_->variable("HOME"), place_.instance));
    }
    start_template(rung);
}

void Supervisor::start_template(control::Rung rung) {
    quiet_timer_.reset();
    if (const auto changed = place_.own.difference()) return upgraded(*changed);
    rung_ = rung;
    set_state(State::warming);
    try {
        template_ = std::make_unique<TemplateProcess>(
            loop_, *program_, rung,
            Inheritance{place_.listener.get(), board_.fd(), pool_.handoff(), place_.session.get(),
                        freshness_.fd(), place_.fd_limit},
            place_.library, advance_, [this](const control::Message& message, Fd passed) {
                template_said(message, std::move(passed));
            });
    } catch (const Error& error) {
        return refuse(error.what(), error.code() != 0);
    }
    pool_.forgive();
    warm_timer_ = loop_.after(k_warm_timeout, [this, rung] {
        drop_template();
        next_rung(rung, fmt::format("it is not ready after {} s", k_warm_timeout));
    });
}

void Supervisor::template_said(const control::Message& message, Fd passed) {
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
            reclaim_lost();
            return pool_changed();
        default:
            log(Level::warning, "the template sent a message of kind {}",
                static_cast<unsigned>(message.kind));
    }
}

/// Watches what the template has read; returns what has changed since. Throws Error for what is no trace.
std::optional<std::string> Supervisor::begin_trace(const Fd& memory) {
    if (!memory) {
        freshness_.forget();
        return std::nullopt;
    }
    Trace trace = Trace::read(memory);
    for (const TracedFile& file : place_.own.files()) trace.add(file.path, file.identity);
    return freshness_.begin(std::move(trace));
}

void Supervisor::template_ready(const control::Message& message, const Fd& trace) {
    if (state_ != State::warming) return;
    warm_timer_.reset();
    try {
        if (const auto changed = begin_trace(trace)) return stale_at_once(*changed);
    } catch (const Error& error) {
        const std::string reason = error.what();
        drop_template();
        return next_rung(rung_, reason);
    }
    stale_starts_ = 0;
    if (rung_ == control::Rung::prelude) {
        churn_pause_ = k_churn_pause;
        churn_timer_.reset();
    }
    used_before_ = pool_.commands_run();
    ready_since_ = Clock::now();
    version_ = message.text;
    board_.set_stale(false);
    set_state(State::ready, reason_);
    log(Level::info, "ready, rung: {}", rung_name());
    if (const std::string modules = advance_.modules(); !modules.empty())
        log(Level::info, "imported in advance: {}", modules);
    order_spares();
    for (const Connection& each : held_) {
        if (each.complete()) each.reply(wire::ReplyKind::retry, 0, {});
    }
    held_.clear();
}

void Supervisor::template_unfit(const control::Message& message, const Fd& passed) {
    if (state_ != State::warming) return;
    const std::string reason = message.text;
    const control::Rung rung = message.rung;
    const bool again = advance_.gave_up(message, passed);
    drop_template();
    if (!again) return next_rung(rung, reason);
    log(Level::info, "fewer modules are imported in advance: {}", reason);
    const std::string before = reason_;  // of the rung
    start_template(rung);
    if (state_ == State::warming) reason_ = before;
}

/// The ladder: prelude, interpreter alone, plain runs.
void Supervisor::next_rung(control::Rung failed, const std::string& reason, bool passing) {
    log(Level::info, "{} cannot be served {}: {}", program_->name(),
        failed == control::Rung::prelude ? "from its prelude" : "at all", reason);
    early_losses_ = 0;
    if (failed != control::Rung::prelude) return refuse(reason, passing);
    warm(control::Rung::interpreter);
    if (state_ == State::warming) reason_ = reason;
}

void Supervisor::refuse(const std::string& reason, bool passing) {
    warm_timer_.reset();
    passing_ = passing;
    refusing_since_ = Clock::now();
    set_state(State::refusing, reason);
    for (const Connection& each : held_) {
        if (each.complete()) each.reply(wire::ReplyKind::refused, 0, reason);
    }
    held_.clear();
}

/// Waits for the answers to all orders, so that no spare is born unknown.
void Supervisor::settle_orders() {
    for (int i = 0; i < 5 && template_ && pool_.order_outstanding(); ++i) template_->drain(k_fork_answer);
}

void Supervisor::drop_template() {
    settle_orders();
    discard_template();
}

void Supervisor::discard_template() {
    if (!template_) return;
    if (template_->pid() > 0) dropped_templates_.insert(template_->pid());
    template_.reset();
    pool_.forget_orders();
    warm_timer_.reset();
    order_timer_.reset();
}

void Supervisor::reclaim_lost() {
    if (!dropped_templates_.empty() || pool_.order_outstanding() || !place_.listener) return;
    pool_.reclaim_lost(place_.listener.get(), template_pid());
}

/// A template that does not answer is stopped, or a fork handler of the program's hangs.
void Supervisor::watch_orders() {
    if (order_timer_ || !template_ || !pool_.answer_outstanding()) return;
    order_timer_ = loop_.after(k_order_timeout, [this] {
        order_timer_.reset();
        if (state_ != State::ready) return;
        discard_template();  // it is not waited for once more
        template_lost(fmt::format("it has not forked within {} s", k_order_timeout), true);
    });
}

void Supervisor::template_ended(const siginfo_t& info) {
    template_->reaped();
    template_->drain(0);
    if (!template_) return;  // its last packet said why
    const bool was_ready = state_ == State::ready;
    const control::Rung rung = template_->rung();
    const bool exited = info.si_code == CLD_EXITED;
    const std::string how =
        fmt::format("{} {} {}", program_->interpreter(),
                    exited ? "ended with status" : "was killed by signal", info.si_status);
    if (was_ready) return template_lost(how, !exited);
    drop_template();
    if (state_ == State::stopping) return;
    log(Level::warning, "the template is gone: {}", how);
    pool_.retire_spares();
    next_rung(rung, how, !exited);
}

/// One that was ready. Another is made on the same rung, unless that has been of no use several times.
void Supervisor::template_lost(const std::string& how, bool passing) {
    log(Level::warning, "the template is gone: {}", how);
    drop_template();
    pool_.retire_spares();
    early_losses_ = seconds_since(ready_since_) < k_early ? early_losses_ + 1 : 0;
    if (early_losses_ >= k_max_early_losses) return next_rung(rung_, how, passing);
    warm(rung_);
}

// --- freshness -----------------------------------------------------------------------

void Supervisor::hold(Fd connection) {
    if (!connection) return;
    held_.emplace_back(loop_, std::move(connection), Connection::AlreadyRead{},
                       [this](Connection& gone, const std::optional<Program>&) { drop(gone); });
    held_.back().reply(wire::ReplyKind::warming, 0, {});
}

/// Its client waits for the next template. It is told to connect anew if none is to come: a spare's last word
/// may be read after its template has been dropped.
void Supervisor::stale(Fd connection) {
    const bool dropped = state_ == State::idle && program_;
    if (state_ != State::ready && state_ != State::warming && !dropped) {
        if (connection) send_reply(connection.get(), wire::ReplyKind::retry, 0, 0, {});
        return;
    }
    board_.set_stale(true);
    hold(std::move(connection));
    if (state_ == State::ready) {
        stale_reason_ = freshness_.difference().value_or("the script has changed");
        log(Level::info, "stale: {}", stale_reason_);
        restart();
    }
    if (dropped) warm(control::Rung::prelude);
}

/// A spare has met a client while there was something that we had not looked at.
void Supervisor::doubt(Fd connection) {
    if (state_ == State::ready) look();
    if (state_ != State::ready) return stale(std::move(connection));
    const bool in_a_row = seconds_since(last_doubt_) < k_vain;
    last_doubt_ = Clock::now();
    vain_doubts_ = in_a_row ? vain_doubts_ + 1 : 1;
    if (vain_doubts_ >= k_max_vain) look_away();
    if (state_ != State::ready) return stale(std::move(connection));
    if (connection) send_reply(connection.get(), wire::ReplyKind::retry, 0, 0, {});
}

/// There is so much going on beside the files that clients would run out of retries.
void Supervisor::look_away() {
    vain_doubts_ = 0;
    freshness_.look_away();
    look();
    away_timer_ = loop_.after(k_away, [this] {
        away_timer_.reset();
        act_on(freshness_.look_back());
    });
}

void Supervisor::look() {
    act_on(freshness_.look());
}

void Supervisor::act_on(const Freshness::Seen& seen) {
    if (seen.changed && state_ == State::ready) went_stale(*seen.changed);
}

/// Nobody waits yet who could not be served as well by a template of later.
void Supervisor::went_stale(const std::string& what) {
    log(Level::info, "stale: {}", what);
    stale_reason_ = what;
    early_losses_ = 0;
    board_.set_stale(true);
    drop_template();
    pool_.retire_spares();
    if (state_ != State::ready) return;  // the template's last word has changed it
    const bool used = pool_.commands_run() != used_before_;
    quiet_ = used ? k_quiet : std::min(2 * quiet_, k_max_pause);
    set_state(State::idle, what);
    await_quiet();
}

void Supervisor::await_quiet() {
    quiet_timer_ = loop_.after(quiet_, [this] {
        quiet_timer_.reset();
        if (state_ != State::idle) return;
        if (!freshness_.look().concerned) return warm(control::Rung::prelude);
        quiet_ = std::min(2 * quiet_, k_max_pause);
        await_quiet();
    });
}

/// A template that is not right although it is new. After several in a row what it reads is taken to change
/// always, be it by the prelude itself.
void Supervisor::stale_at_once(const std::string& what) {
    log(Level::info, "stale before it was ready: {}", what);
    stale_reason_ = what;
    drop_template();
    if (state_ != State::warming) return;
    if (++stale_starts_ < k_max_stale_starts) {
        if (!held_.empty()) return warm(rung_);
        quiet_ = std::min(2 * quiet_, k_max_pause);
        set_state(State::idle, what);
        return await_quiet();
    }
    stale_starts_ = 0;
    next_rung(rung_, what + " while the prelude runs", true);
    churn_timer_ = loop_.after(churn_pause_, [this] {
        if (state_ == State::ready) restart();
    });
    churn_pause_ = std::min(2 * churn_pause_, k_max_pause);
}

/// The template's hook, or we ourselves, are not what a client of the same version would start now. The next
/// server is the new one: at once where the socket is ours to give up; else, while commands need us, their
/// successors run plainly.
void Supervisor::upgraded(const std::string& what) {
    const std::string reason = "quicken has been upgraded: " + what;
    const bool ours = !place_.own_path.empty();
    upgrade_ = what;
    if (ours ? !give_up_socket(0) : !pool_.commands().empty()) return refuse(reason, true);
    log(Level::info, "{}: exit", reason);
    set_state(State::stopping);
    if (ours) {
        accepting_.reset();
        place_.listener.reset();
    }
    for (const Connection& each : held_) {
        if (each.complete()) each.reply(wire::ReplyKind::retry, 0, {});
    }
    held_.clear();
    if (pool_.commands().empty()) end();
}

/// Its client connects anew and waits in the socket's queue for a spare that has one.
void Supervisor::needs_session(const Fd& connection) {
    if (connection) send_reply(connection.get(), wire::ReplyKind::retry, 0, 0, {});
    if (sessions_) return;
    sessions_ = true;
    pool_.retire_spares();
}

/// Clients run plainly because the template was made in another environment. If there are several in a row,
/// the next one is what a new template is made for.
void Supervisor::misfit() {
    if (pool_.commands_run() != run_at_misfit_) misfits_ = 0;
    run_at_misfit_ = pool_.commands_run();
    if (++misfits_ < k_max_misfits || state_ != State::ready) return;
    misfits_ = 0;
    log(Level::info, "the template is of another environment than its clients");
    drop_template();
    pool_.retire_spares();
    if (state_ == State::ready) set_state(State::idle, "its last clients have had another environment");
}

void Supervisor::restart() {
    if (!program_ || state_ == State::stopping) return;
    log(Level::info, "making another template of {}", program_->name());
    early_losses_ = 0;
    board_.set_stale(true);
    drop_template();
    pool_.retire_spares();
    warm(control::Rung::prelude);
}

// --- children ------------------------------------------------------------------------

void Supervisor::pool_changed() {
    if (state_ == State::stopping && pool_.commands().empty()) return end();
    if (state_ == State::refusing && !upgrade_.empty() && pool_.commands().empty()) return upgraded(upgrade_);
    follow_clients();
    follow_learning();
    order_spares();
    update_accepting();
    update_idle_timer();
    if (changed_) changed_();
}

void Supervisor::order_spares() {
    if (state_ != State::ready) return;
    if (pool_.wasted() > k_max_wasted) {
        drop_template();
        pool_.retire_spares();
        return refuse(pool_.fork_failed() ? "the template cannot fork" : "spares end before they have served",
                      pool_.fork_failed());
    }
    while (const auto slot = pool_.slot_for_spare(k_spares)) {
        if (template_->order_spare(*slot, sessions_)) continue;
        pool_.order_failed(*slot);  // it is gone: SIGCHLD is on its way
        break;
    }
    watch_orders();
}

void Supervisor::follow_clients() {
    if (pool_.commands().empty() || follow_timer_) return;
    follow_timer_ = loop_.after(k_follow, [this] {
        follow_timer_.reset();
        pool_.follow_clients();
        follow_clients();
    });
}

/// What has been learned is for the next template; one is made for it when nobody has run for a while.
void Supervisor::follow_learning() {
    learn_timer_.reset();
    if (advance_.learning().empty() || !pool_.commands().empty()) return;
    if (pool_.commands_run() < looked_at_learned_ + k_learn_commands) return;
    learn_timer_ = loop_.after(learn_pause_, [this] {
        learn_timer_.reset();
        if (state_ != State::ready || !pool_.commands().empty()) return;
        looked_at_learned_ = pool_.commands_run();
        if (!advance_.has_learned()) return;
        learn_pause_ = std::min(2 * learn_pause_, k_max_pause);
        log(Level::info, "what commands import late has changed");
        restart();
    });
}

void Supervisor::child_ended() {
    pool_.drain();
    while (reap_one()) continue;
    reclaim_lost();
}

/// A child that nobody knows is a spare whose Forked is not handled yet, or a grandchild whose parent, a
/// command, is gone. What it sent before it ended is read first.
bool Supervisor::reap_one() {
    siginfo_t info{};
    const int kinds = WEXITED | WSTOPPED | WNOHANG;
    if (waitid(P_ALL, 0, &info, kinds | WNOWAIT) != 0 || info.si_pid == 0) return false;
    const pid_t pid = info.si_pid;
    pool_.drain();
    if (waitid(P_PID, static_cast<id_t>(pid), &info, kinds) != 0 || info.si_pid == 0) return true;
    if (template_ && template_->pid() == pid && info.si_code != CLD_STOPPED) {
        template_ended(info);
    } else if (!dropped_templates_.contains(pid)) {
        pool_.child_changed(info);
    } else if (info.si_code != CLD_STOPPED) {
        dropped_templates_.erase(pid);
    }
    return true;
}

// --- the end ---------------------------------------------------------------------------

void Supervisor::update_idle_timer() {
    idle_timer_.reset();
    if (state_ == State::warming || state_ == State::stopping) return;
    if (!held_.empty() || !pool_.commands().empty()) return;
    const bool served = state_ == State::ready || (state_ == State::idle && program_);
    double seconds = served ? idle_timeout_ : std::min(idle_timeout_, k_no_program_timeout);
    // Those who are refused do not keep us: the next server may find that it can serve.
    if (state_ == State::refusing) seconds = std::max(0.0, seconds - seconds_since(refusing_since_));
    idle_timer_ = loop_.after(seconds, [this] { idle_time_over(); });
}

void Supervisor::idle_time_over() {
    settle_orders();
    pool_.drain();
    if (!held_.empty() || !pool_.commands().empty()) return;
    if (!pool_.retire_spares()) return;  // one has just taken a connection: its handover is on its way
    if (!give_up_socket(0)) {            // the spares are replaced as they are reaped
        idle_timer_ = loop_.after(k_retry_exit, [this] { idle_time_over(); });
        return;
    }
    log(Level::info, "idle for {} s: exit", idle_timeout_);
    end();
}

/// A path that is ours must not outlive us, and an activator must not find it gone while it looks.
/// False if an activator is at work for longer than `seconds`. Once it is given up whatever is at the path is
/// another server's.
bool Supervisor::give_up_socket(double seconds) {
    if (place_.own_path.empty()) return true;
    const auto start = Clock::now();
    const Fd directory(open(place_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (directory && flock(directory.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        if (seconds_since(start) >= seconds) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (own_socket_ && own_socket_ == file_id(place_.own_path)) unlink(place_.own_path.c_str());
    place_.own_path.clear();
    if (left_) left_();
    return true;
}

/// The path stays, as that of a dead server, if an activator keeps the directory locked: it has found us
/// listening, its client will not, and the next one binds it anew.
void Supervisor::leave_socket() {
    if (!give_up_socket(k_lock_timeout)) {
        log(Level::warning, "the lock of {} is held: {} is left", place_.directory, place_.own_path);
        place_.own_path.clear();
    }
    accepting_.reset();
    place_.listener.reset();
}

void Supervisor::stop(bool now) {
    if (state_ != State::stopping) log(Level::info, "stop{}", now ? " now" : "");
    set_state(State::stopping);
    drop_template();
    pool_.retire_spares();
    if (!place_.own_path.empty()) leave_socket();
    held_.clear();
    if (pool_.commands().empty()) return end();
    if (now) pool_.signal_commands(SIGKILL);
    stop_timer_ = loop_.after(k_stop_timeout, [this] {
        pool_.signal_commands(SIGTERM);
        stop_timer_ = loop_.after(k_kill_timeout, [this] { pool_.signal_commands(SIGKILL); });
    });
}

/// All that holds the listening socket is gone before we are: who looks at it then finds nobody. A spare that
/// has just taken a connection is served first: its handover, or its end, comes here again.
void Supervisor::end() {
    drop_template();
    if (!pool_.retire_spares()) return;
    pool_.await_spares();
    for (const pid_t pid : dropped_templates_) waitpid(pid, nullptr, 0);
    loop_.exit(0);
}

}  // namespace quicken::server
