#include "supervisor.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "common/error.hpp"
#include "log.hpp"
#include "settings.hpp"

namespace quicken::server {

namespace {

constexpr double k_no_program_timeout = 10;  // s without a first request, or refusing
constexpr double k_stop_timeout = 10;        // s for commands to end by themselves
constexpr double k_kill_timeout = 2;         // s more after TERM
constexpr double k_retry_exit = 0.5;         // s until the next try if somebody else holds the directory
constexpr double k_passing = 1;              // s until it is tried again after a reason that may pass
constexpr double k_accept_pause = 0.1;       // s, while there are no fds
constexpr double k_follow = 0.2;             // s between looks at the clients of running commands
constexpr double k_lock_timeout = 0.5;       // s for the directory's lock when told to stop
constexpr double k_looks_in = 0.1;           // s; a client in doubt does not wait for it
constexpr unsigned k_looks = 10;             // at changes in that time
constexpr double k_away = 1;                 // s for which spares look for themselves

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

}  // namespace

Supervisor::Supervisor(Loop& loop, Place place)
    : loop_(loop),
      place_(std::move(place)),
      freshness_(board_),
      common_{loop, board_, place_, freshness_.fd(), false},
      variants_(common_, *this),
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
    if (state_ != State::ready || variants_.listening() == nullptr) return "";
    return variants_.listening()->rung() == control::Rung::prelude ? "prelude" : "interpreter";
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
    accepting_.enable(ours && !accept_timer_ && variants_.spares() == 0 && !variants_.order_outstanding());
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
    held_.emplace_back(loop_, std::move(socket), [this](Connection& connection, bool complete) {
        if (!complete) return drop(connection);
        request_complete(connection);
    });
    update_idle_timer();
}

void Supervisor::drop(const Connection& connection) {
    held_.remove_if([&connection](const Connection& each) { return &each == &connection; });
    update_idle_timer();
}

void Supervisor::refuse_one(const Connection& connection, const std::string& reason) {
    connection.reply(wire::ReplyKind::refused, 0, reason);
    drop(connection);
}

void Supervisor::request_complete(Connection& connection) {
    const Program& program = *connection.program();
    if (!(program.expected_instance() == program.request.instance)) {
        return refuse_one(
            connection, "the server does not arrive at the client's instance (are its groups the client's?)");
    }
    if (still_refused(program)) return refuse_one(connection, reason_);
    if (state_ == State::ready || state_ == State::stopping) {
        connection.reply(wire::ReplyKind::retry, 0, {});
        return drop(connection);
    }
    connection.reply(wire::ReplyKind::warming, 0, {});
    if (state_ != State::warming) first_request(connection);
}

bool Supervisor::still_refused(const Program& program) const {
    if (state_ != State::refusing || !program_ || program_->request.script != program.request.script)
        return false;
    return !passing_ || seconds_since(refusing_since_) < k_passing;
}

void Supervisor::first_request(Connection& connection) {
    const std::string wrong = open_log_of(*connection.program());
    if (!wrong.empty()) {
        connection.reply(wire::ReplyKind::failed, 1, "quicken: " + wrong);
        return drop(connection);
    }
    program_ = connection.program();
    idle_timeout_ = idle_timeout_of(*program_);
    common_.sessions = common_.sessions || (program_->request.terminal & wire::k_has_terminal) != 0;
    log(Level::info, "warming {} {} for {}", program_->what(), program_->name(), program_->interpreter());
    warm();
}

// --- templates ---------------------------------------------------------------------

/// The variant that listens, for what was asked for last.
void Supervisor::warm() {
    quiet_timer_.reset();
    try {
        variants_.add(program_).warm();
    } catch (const Error& error) {
        refuse(error.what(), true);
    }
}

bool Supervisor::may_warm(Variant& variant) {
    if (state_ == State::stopping) return false;
    if (const auto changed = place_.own.difference()) {
        upgraded(*changed);
        return false;
    }
    if (is_listening(variant)) set_state(State::warming);
    return true;
}

/// Watches what all have read.
std::optional<std::string> Supervisor::begin(Variant& variant) {
    if (!is_listening(variant)) {
        if (auto changed = variant.trace().difference()) return changed;
    }
    Trace all = variant.trace();
    for (const TracedFile& file : place_.own.files()) all.add(file.path, file.identity);
    for (const auto& each : variants_.all()) {
        if (each->state() == Variant::State::ready) all.add(each->trace());
    }
    auto changed = freshness_.begin(std::move(all));
    if (!changed || is_listening(variant)) return changed;
    went_stale(*changed);
    return changed;
}

void Supervisor::ready(Variant& variant) {
    if (!is_listening(variant)) return serve_clients_of(variant);
    given_up_.reset();
    const bool after_prelude = variant.rung() == control::Rung::prelude;
    pace_.ready(after_prelude);
    if (after_prelude) churn_timer_.reset();
    used_before_ = variants_.commands_run();
    version_ = variant.interpreter_version();
    board_.set_stale(false);
    set_state(State::ready, variant.reason());
    order_spares();
    send_held_back();
}

/// They connect anew, and find spares.
void Supervisor::send_held_back() {
    for (const Connection& each : held_) {
        if (each.complete()) each.reply(wire::ReplyKind::retry, 0, {});
    }
    held_.clear();
    update_idle_timer();
}

void Supervisor::refuse_held(const std::string& reason) {
    for (const Connection& each : held_) {
        if (each.complete()) each.reply(wire::ReplyKind::refused, 0, reason);
    }
    held_.clear();
    update_idle_timer();
}

void Supervisor::refused(Variant& variant, const std::string& reason, bool passing) {
    if (state_ == State::stopping) return;
    if (is_listening(variant)) {
        given_up_ = variant.findings();
        return refuse(reason, passing);
    }
    variant.drop();
    refuse_client_of(variant, reason);
    serve_held();
    variants_.pause();
}

/// The client that it was made for; those who have waited along with it may be right for another one.
void Supervisor::refuse_client_of(const Variant& variant, const std::string& reason) {
    const auto client = std::find_if(held_.begin(), held_.end(), [&variant](const Connection& each) {
        return each.program() == variant.shared_program();
    });
    if (client != held_.end()) refuse_one(*client, reason);
}

void Supervisor::refuse(const std::string& reason, bool passing) {
    passing_ = passing;
    refusing_since_ = Clock::now();
    variants_.drop_all();
    set_state(State::refusing, reason);
    refuse_held(reason);
}

// --- clients of another kind ---------------------------------------------------------

void Supervisor::misfit(Variant&, const control::Message& message,
                        std::array<Fd, control::k_client_fds> fds) {
    auto [socket, deposit, memory] = std::move(fds);
    if (!socket) return;
    auto program = Program::read(memory);
    if (!program || !deposit || !program->look_at_client(socket.get())) {
        send_reply(socket.get(), wire::ReplyKind::refused, 0, 0, message.text);
        return;
    }
    held_.emplace_back(loop_, std::move(socket), std::make_shared<const Program>(std::move(*program)),
                       std::move(deposit), [this](Connection& gone, bool) { drop(gone); });
    Connection& client = held_.back();
    if (state_ == State::ready && message.passed == 0) return find_template(client, message.text);
    client.reply(wire::ReplyKind::retry, 0, {});
    drop(client);
}

/// It waits while one is being made, for itself or for another client: that may be right for both.
void Supervisor::find_template(const Connection& client, const std::string& reason) {
    Variant* right = variants_.right_for(*client.program());
    if (right != nullptr) return pass(client, *right);
    client.reply(wire::ReplyKind::warming, 0, {});
    if (variants_.some_is(Variant::State::warming)) return;
    if (variants_.paused()) return refuse_one(client, reason);
    variants_.make_room();
    log(Level::info, "another template: {}", reason);
    try {
        variants_.add(client.program()).warm();
    } catch (const Error& error) {
        refuse_one(client, error.what());
    }
}

/// One that listens takes it itself: it does so only since a spare of another one has met this client.
void Supervisor::pass(const Connection& client, Variant& variant) {
    const bool listens = is_listening(variant) || variants_.used(variant);
    if (listens) program_ = variant.shared_program();
    if (listens || !variant.pass(client)) client.reply(wire::ReplyKind::retry, 0, {});
    drop(client);
    order_spares();
}

/// A template that is not even right for the client that it was made for would be made again and again.
void Supervisor::serve_clients_of(Variant& variant) {
    order_spares();
    if (const char* other = variant.difference(variant.program())) {
        const std::string reason = other;
        return refused(variant, reason, false);
    }
    serve_held();
}

/// Clients that have waited for a template. What is done for one of them may be the end of all who are held.
void Supervisor::serve_held() {
    std::list<Connection> waiting;
    for (auto next = held_.begin(); next != held_.end();) {
        const auto each = next++;
        if (each->program()) waiting.splice(waiting.end(), held_, each);
    }
    while (!waiting.empty()) {
        held_.splice(held_.end(), waiting, waiting.begin());
        const Connection& client = held_.back();
        if (state_ == State::ready) {
            find_template(client, "the template is of clients of another kind");
        } else {
            client.reply(wire::ReplyKind::retry, 0, {});
            drop(client);
        }
    }
}

// --- freshness -----------------------------------------------------------------------

void Supervisor::hold(Fd connection) {
    if (!connection) return;
    held_.emplace_back(loop_, std::move(connection), nullptr, Fd(),
                       [this](Connection& gone, bool) { drop(gone); });
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
        history_.add(freshness_.difference().value_or("the script has changed"));
        log(Level::info, "stale: {}", history_.last());
        restart();
    }
    if (dropped) warm();
}

/// A spare has met a client while there was something that we had not looked at.
void Supervisor::doubt(Fd connection) {
    if (state_ == State::ready) look();
    if (state_ != State::ready) return stale(std::move(connection));
    if (pace_.doubted()) look_away();
    if (state_ != State::ready) return stale(std::move(connection));
    if (connection) send_reply(connection.get(), wire::ReplyKind::retry, 0, 0, {});
}

/// There is so much going on beside the files that clients would run out of retries.
void Supervisor::look_away() {
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

/// If nobody waits, a template of later will do as well.
void Supervisor::went_stale(const std::string& what) {
    log(Level::info, "stale: {}", what);
    history_.add(what);
    board_.set_stale(true);
    variants_.drop_all();
    pace_.went_stale(variants_.commands_run() != used_before_);
    if (!held_.empty()) return warm();
    set_state(State::idle, what);
    await_quiet();
}

void Supervisor::await_quiet() {
    quiet_timer_ = loop_.after(pace_.quiet(), [this] {
        quiet_timer_.reset();
        if (state_ != State::idle) return;
        if (!freshness_.look().concerned) return warm();
        pace_.still_changing();
        await_quiet();
    });
}

/// A template that is not right although it is new. After several in a row what it reads is taken to change
/// always, be it by the prelude itself.
void Supervisor::stale_at_once(Variant& variant, const std::string& what) {
    if (variant.state() == Variant::State::dropped || state_ == State::stopping) return;
    log(Level::info, "stale before it was ready: {}", what);
    history_.add(what);
    if (!is_listening(variant)) return refused(variant, what, true);
    if (!pace_.stale_at_start()) {
        if (!held_.empty()) return variant.warm_again();
        variants_.drop_all();
        pace_.still_changing();
        set_state(State::idle, what);
        return await_quiet();
    }
    variant.next_rung(variant.rung(), what + " while the prelude runs", true);
    churn_timer_ = loop_.after(pace_.churn_pause(), [this] {
        if (state_ == State::ready) restart();
    });
}

/// The template's hook, or we ourselves, are not what a client of the same version would start now. The next
/// server is the new one: at once where the socket is ours to give up; else, while commands need us, their
/// successors run plainly.
void Supervisor::upgraded(const std::string& what) {
    const std::string reason = "quicken has been upgraded: " + what;
    const bool ours = !place_.own_path.empty();
    upgrade_ = what;
    if (ours ? !give_up_socket(0) : !variants_.commands().empty()) return refuse(reason, true);
    log(Level::info, "{}: exit", reason);
    variants_.drop_all();
    set_state(State::stopping);
    if (ours) {
        accepting_.reset();
        place_.listener.reset();
    }
    send_held_back();
    if (variants_.commands().empty()) end();
}

/// Its client connects anew and waits in the socket's queue for a spare that has one.
void Supervisor::needs_session(const Fd& connection) {
    if (connection) send_reply(connection.get(), wire::ReplyKind::retry, 0, 0, {});
    if (common_.sessions) return;
    common_.sessions = true;
    variants_.retire_spares();
}

void Supervisor::restart() {
    if (!program_ || state_ == State::stopping) return;
    log(Level::info, "making another template of {}", program_->name());
    board_.set_stale(true);
    variants_.drop_all();
    warm();
}

// --- children ------------------------------------------------------------------------

void Supervisor::pool_changed() {
    if (state_ == State::stopping && variants_.commands().empty()) return end();
    if (state_ == State::refusing && !upgrade_.empty() && variants_.commands().empty())
        return upgraded(upgrade_);
    variants_.reclaim_lost();
    follow_clients();
    follow_learning();
    order_spares();
    update_accepting();
    update_idle_timer();
    if (changed_) changed_();
}

void Supervisor::order_spares() {
    if (state_ == State::ready) variants_.order_spares();
}

void Supervisor::follow_clients() {
    if (variants_.commands().empty() || follow_timer_) return;
    follow_timer_ = loop_.after(k_follow, [this] {
        follow_timer_.reset();
        variants_.follow_clients();
        follow_clients();
    });
}

/// What has been learned is for the next template; one is made for it when nobody has run for a while.
void Supervisor::follow_learning() {
    learn_timer_.reset();
    Variant* variant = variants_.listening();
    if (variant == nullptr || variant->advance().learning().empty() || !variants_.commands().empty()) return;
    if (!pace_.learns_from(variants_.commands_run())) return;
    learn_timer_ = loop_.after(pace_.learn_pause(), [this] {
        learn_timer_.reset();
        if (state_ != State::ready || !variants_.commands().empty()) return;
        pace_.looked_at_learned(variants_.commands_run());
        if (!variants_.listening()->advance().has_learned()) return;
        pace_.learned();
        log(Level::info, "what commands import late has changed");
        restart();
    });
}

void Supervisor::child_ended() {
    variants_.drain();
    while (reap_one()) continue;
    variants_.reclaim_lost();
    variants_.purge();
}

/// A child that nobody knows is a spare whose Forked is not handled yet, or a grandchild whose parent, a
/// command, is gone. What it sent before it ended is read first.
bool Supervisor::reap_one() {
    siginfo_t info{};
    const int kinds = WEXITED | WSTOPPED | WNOHANG;
    if (waitid(P_ALL, 0, &info, kinds | WNOWAIT) != 0 || info.si_pid == 0) return false;
    const pid_t pid = info.si_pid;
    variants_.drain();
    if (waitid(P_PID, static_cast<id_t>(pid), &info, kinds) != 0 || info.si_pid == 0) return true;
    variants_.child_changed(info);
    return true;
}

// --- the end ---------------------------------------------------------------------------

void Supervisor::update_idle_timer() {
    idle_timer_.reset();
    if (state_ == State::warming || state_ == State::stopping) return;
    if (!held_.empty() || !variants_.commands().empty()) return;
    const bool served = state_ == State::ready || (state_ == State::idle && program_);
    double seconds = served ? idle_timeout_ : std::min(idle_timeout_, k_no_program_timeout);
    // Those who are refused do not keep us: the next server may find that it can serve.
    if (state_ == State::refusing) seconds = std::max(0.0, seconds - seconds_since(refusing_since_));
    idle_timer_ = loop_.after(seconds, [this] { idle_time_over(); });
}

void Supervisor::idle_time_over() {
    variants_.settle_orders();
    variants_.drain();
    if (!held_.empty() || !variants_.commands().empty()) return;
    if (!variants_.retire_spares()) return;  // one has just taken a connection: its handover is on its way
    if (!give_up_socket(0)) {                // the spares are replaced as they are reaped
        idle_timer_ = loop_.after(k_retry_exit, [this] { idle_time_over(); });
        return;
    }
    log(Level::info, "idle: exit");
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

void Supervisor::catch_up() {
    variants_.drain();
}

void Supervisor::stop(bool now) {
    if (state_ != State::stopping) log(Level::info, "stop{}", now ? " now" : "");
    catch_up();
    set_state(State::stopping);
    variants_.drop_all();
    if (!place_.own_path.empty()) leave_socket();
    held_.clear();
    if (variants_.commands().empty()) return end();
    if (now) variants_.signal_commands(SIGKILL);
    stop_timer_ = loop_.after(k_stop_timeout, [this] {
        variants_.signal_commands(SIGTERM);
        stop_timer_ = loop_.after(k_kill_timeout, [this] { variants_.signal_commands(SIGKILL); });
    });
}

/// All that holds the listening socket is gone before we are: who looks at it then finds nobody. A spare that
/// has just taken a connection is served first: its handover, or its end, comes here again.
void Supervisor::end() {
    variants_.drop_all();
    if (!variants_.retire_spares()) return;
    variants_.await_spares();
    loop_.exit(0);
}

}  // namespace quicken::server
