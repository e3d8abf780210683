#include "supervisor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "common/error.hpp"
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
constexpr unsigned k_max_wasted = 10;             // spares lost in a row before the template is at fault
constexpr int k_fork_answer = 200;                // ms

/// Seconds, or nothing if `text` is not a number >= 0.
std::optional<double> parse_seconds(const char* text) {
    double value = 0;
    const char* end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, value);
    if (error != std::errc{} || stopped != end || !std::isfinite(value) || value < 0) return std::nullopt;
    return value;
}

}  // namespace

Supervisor::Supervisor(Loop& loop, Place place)
    : loop_(loop),
      place_(std::move(place)),
      pool_(loop, board_, {[this] { pool_changed(); }, [this](Fd connection) { stale(std::move(connection)); }}),
      idle_timeout_(k_default_idle_timeout) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw_errno("become", "the reaper of all commands");
    accepting_ = loop.on_io(place_.listener.get(), EPOLLIN, [this](std::uint32_t) { accept_client(); });
    children_ = loop.on_signal(SIGCHLD, [this] { child_ended(); });
    terminate_ = loop.on_signal(SIGTERM, [this] { stop(false); });
    interrupt_ = loop.on_signal(SIGINT, [this] { stop(false); });
    update_idle_timer();
}

const char* Supervisor::state_name() const {
    switch (state_) {
        case State::idle: return "idle";
        case State::warming: return "warming";
        case State::ready: return "ready";
        case State::refusing: return "refusing";
        case State::stopping: return "stopping";
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
    update_accepting();
    update_idle_timer();
    if (changed_) changed_();
}

// --- clients that the supervisor accepts ----------------------------------------

void Supervisor::update_accepting() {
    const bool ours = state_ == State::idle || state_ == State::warming || state_ == State::refusing;
    accepting_.enable(ours && pool_.spares() == 0 && !pool_.order_outstanding());
}

void Supervisor::accept_client() {
    Fd socket(accept4(place_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;  // the client went away, or we are out of fds: it is tried again
    held_.emplace_back(loop_, std::move(socket), [this](Connection& connection, std::optional<Program> program) {
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
        connection.reply(wire::ReplyKind::refused, 0,
                         "the server does not arrive at the client's instance (are its groups the client's?)");
        return drop(connection);
    }
    if (state_ == State::refusing && program_ && program_->request.script == program->request.script) {
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

void Supervisor::first_request(Connection& connection, Program program) {
    if (!apply_settings(connection, program)) return drop(connection);
    program_ = std::move(program);
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
    std::string reason = "it is not an absolute path";
    if (*path == '/') {
        Fd file(open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
        if (file) {
            log_to(std::move(file));
            return true;
        }
        reason = errno_text(errno);
    }
    connection.reply(wire::ReplyKind::failed, 1, fmt::format("quicken: QUICKEN_LOG_FILE={}: {}", path, reason));
    return false;
}

// --- the template ------------------------------------------------------------------

void Supervisor::warm(control::Rung rung) {
    set_state(State::warming);
    try {
        template_ = std::make_unique<TemplateProcess>(
            loop_, *program_, rung, Inheritance{place_.listener.get(), board_.fd(), pool_.handoff()},
            place_.library, [this](const control::Message& message) { template_said(message); });
    } catch (const Error& error) {
        return refuse(error.what());
    }
    warm_timer_ = loop_.after(k_warm_timeout, [this, rung] {
        drop_template();
        next_rung(rung, fmt::format("it is not ready after {} s", k_warm_timeout));
    });
}

void Supervisor::template_said(const control::Message& message) {
    switch (message.kind) {
        case control::MessageKind::ready: return template_ready(message);
        case control::MessageKind::unfit: return template_unfit(message);
        case control::MessageKind::forked:
            pool_.forked(message);
            return pool_changed();
        default: log(Level::warning, "the template sent a message of kind {}", static_cast<unsigned>(message.kind));
    }
}

void Supervisor::template_ready(const control::Message& message) {
    if (state_ != State::warming) return;
    warm_timer_.reset();
    version_ = message.text;
    board_.set_stale(false);
    set_state(State::ready, reason_);
    log(Level::info, "ready, rung: {}", rung_name());
    order_spares();
    for (const Connection& each : held_) {
        if (each.complete()) each.reply(wire::ReplyKind::retry, 0, {});
    }
    held_.clear();
}

void Supervisor::template_unfit(const control::Message& message) {
    if (state_ != State::warming) return;
    const std::string reason = message.text;
    drop_template();
    next_rung(message.rung, reason);
}

/// The ladder: prelude, interpreter alone, plain runs.
void Supervisor::next_rung(control::Rung failed, const std::string& reason) {
    log(Level::info, "{} cannot be served {}: {}", program_->name(),
        failed == control::Rung::prelude ? "from its prelude" : "at all", reason);
    if (failed != control::Rung::prelude) return refuse(reason);
    warm(control::Rung::interpreter);
    if (state_ == State::warming) reason_ = reason;
}

void Supervisor::refuse(const std::string& reason) {
    warm_timer_.reset();
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
    if (!template_) return;
    if (template_->pid() > 0) ended_template_ = template_->pid();
    template_.reset();
    pool_.forget_orders();
    warm_timer_.reset();
}

void Supervisor::template_ended(const siginfo_t& info) {
    template_->reaped();
    template_->drain(0);
    if (!template_) return;  // its last packet said why
    const bool was_ready = state_ == State::ready;
    const control::Rung rung = template_->rung();
    drop_template();
    if (state_ == State::stopping) return;
    const std::string how = fmt::format("{} {} {}", program_->interpreter(),
                                        info.si_code == CLD_EXITED ? "ended with status" : "was killed by signal",
                                        info.si_status);
    log(Level::warning, "the template is gone: {}", how);
    pool_.retire_spares();
    if (!was_ready) return next_rung(rung, how);
    warm(rung);
}

void Supervisor::stale(Fd connection) {
    board_.set_stale(true);
    held_.emplace_back(std::move(connection));
    held_.back().reply(wire::ReplyKind::warming, 0, {});
    if (state_ == State::ready) restart();
}

void Supervisor::restart() {
    if (state_ != State::ready && state_ != State::refusing) return;
    log(Level::info, "making another template of {}", program_->name());
    board_.set_stale(true);
    drop_template();
    pool_.retire_spares();
    warm(control::Rung::prelude);
}

// --- children ------------------------------------------------------------------------

void Supervisor::pool_changed() {
    if (state_ == State::stopping && pool_.commands().empty()) return end();
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
        return refuse("spares end before they have served");
    }
    while (const auto slot = pool_.slot_for_spare(k_spares)) {
        if (!template_->order_spare(*slot)) return;  // it is gone: SIGCHLD is on its way
    }
}

void Supervisor::child_ended() {
    pool_.drain();
    while (reap_one()) continue;
}

/// A child that nobody knows is a spare whose Forked is not handled yet, or a grandchild whose parent, a
/// command, is gone. Its pid stays taken until it is reaped, so it is looked at first.
bool Supervisor::reap_one() {
    siginfo_t info{};
    const int kinds = WEXITED | WSTOPPED | WNOHANG;
    if (waitid(P_ALL, 0, &info, kinds | WNOWAIT) != 0 || info.si_pid == 0) return false;
    const pid_t pid = info.si_pid;
    if (template_ && template_->pid() != pid) settle_orders();
    pool_.drain();
    if (waitid(P_PID, static_cast<id_t>(pid), &info, kinds) != 0 || info.si_pid == 0) return true;
    if (template_ && template_->pid() == pid && info.si_code != CLD_STOPPED) {
        template_ended(info);
    } else if (pid != ended_template_) {
        pool_.child_changed(info);
    }
    return true;
}

// --- the end ---------------------------------------------------------------------------

void Supervisor::update_idle_timer() {
    idle_timer_.reset();
    if (state_ == State::warming || state_ == State::stopping) return;
    if (!held_.empty() || !pool_.commands().empty()) return;
    const bool serving = state_ == State::ready;
    idle_timer_ = loop_.after(serving ? idle_timeout_ : std::min(idle_timeout_, k_no_program_timeout),
                              [this] { idle_time_over(); });
}

void Supervisor::idle_time_over() {
    settle_orders();
    pool_.drain();
    if (!held_.empty() || !pool_.commands().empty()) return;
    if (!pool_.retire_spares()) return;  // one has just taken a connection: its handover is on its way
    if (!give_up_socket()) {             // the spares are replaced as they are reaped
        idle_timer_ = loop_.after(k_retry_exit, [this] { idle_time_over(); });
        return;
    }
    log(Level::info, "idle for {} s: exit", idle_timeout_);
    end();
}

/// A path that is ours must not outlive us, and an activator must not find it gone while it looks.
/// False if an activator is at work.
bool Supervisor::give_up_socket() const {
    if (place_.own_path.empty()) return true;
    const Fd directory(open(place_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory && flock(directory.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    unlink(place_.own_path.c_str());
    return true;
}

void Supervisor::stop(bool now) {
    if (state_ != State::stopping) log(Level::info, "stop{}", now ? " now" : "");
    set_state(State::stopping);
    drop_template();
    pool_.retire_spares();
    if (!place_.own_path.empty()) unlink(place_.own_path.c_str());
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
    if (ended_template_ > 0) waitpid(ended_template_, nullptr, 0);
    loop_.exit(0);
}

}  // namespace quicken::server
