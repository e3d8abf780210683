#include "pool.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>

#include "common/error.hpp"
#include "connection.hpp"
#include "log.hpp"
#include "message.hpp"

namespace quicken::server {

namespace {

/// Status as waitpid(2) gives it.
int wait_status(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
    return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

/// True if it was there.
bool strike(std::vector<std::uint32_t>& slots, std::uint32_t slot) {
    return std::erase(slots, slot) > 0;
}

/// Zombies too; nothing if the kernel does not tell (proc(5), CONFIG_PROC_CHILDREN).
std::optional<std::vector<pid_t>> children_of_ours() {
    std::ifstream file("/proc/thread-self/children");
    if (!file) return std::nullopt;
    std::vector<pid_t> found;
    for (pid_t pid = 0; file >> pid;) found.push_back(pid);
    return found;
}

/// "socket:[INODE]", or "" if it cannot be seen.
std::string file_behind(const std::filesystem::path& link) {
    std::error_code failed;
    return std::filesystem::read_symlink(link, failed).string();
}

/// One letter of proc(5); 0 if there is no such process.
char process_state(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t end = text.rfind(") ");
    return end == std::string::npos ? '\0' : text[end + 2];
}

pid_t peer_of(const Fd& connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (!connection || getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return 0;
    return peer.pid;
}

enum class Holds { no, yes, unseen };

/// Does the process have this open? A process that ends loses its fds before it is a zombie: none is no
/// answer.
Holds holds(pid_t pid, const std::string& file) {
    std::error_code failed;
    std::filesystem::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", failed);
    if (failed || entry == std::filesystem::directory_iterator()) return Holds::unseen;
    for (; !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
        if (file_behind(entry->path()) == file) return Holds::yes;
    }
    return failed ? Holds::unseen : Holds::no;
}

}  // namespace

Pool::Pool(Loop& loop, Board& board, Owner& owner, Variant& variant)
    : loop_(loop), board_(board), owner_(owner), variant_(variant) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw_errno("make", "a socket pair");
    our_end_ = Fd(ends[0]);
    spares_end_ = Fd(ends[1]);
    alarm_ = Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!alarm_) throw_errno("make", "a timer");
    rings_ = loop.on_io(alarm_.get(), EPOLLIN, [this](std::uint32_t) { alarm_rings(); });
}

Pool::~Pool() {
    for (const auto& [pid, child] : children_) {
        if (!child.command) kill(pid, SIGKILL);
    }
}

std::size_t Pool::spares() const {
    return static_cast<std::size_t>(std::count_if(children_.begin(), children_.end(),
                                                  [](const auto& each) { return !each.second.command; }));
}

std::vector<pid_t> Pool::commands() const {
    std::vector<pid_t> found;
    for (const auto& [pid, child] : children_) {
        if (child.command) found.push_back(pid);
    }
    return found;
}

std::vector<pid_t> Pool::processes() const {
    std::vector<pid_t> found;
    for (const auto& [pid, child] : children_) found.push_back(pid);
    return found;
}

std::optional<std::uint32_t> Pool::slot_for_spare(std::size_t wanted) {
    if (spares() + ordered_slots_.size() >= wanted) return std::nullopt;
    const auto slot = board_.take();
    if (slot) ordered_slots_.push_back(*slot);
    return slot;
}

bool Pool::has_slot(std::uint32_t slot) const {
    return std::any_of(children_.begin(), children_.end(),
                       [slot](const auto& each) { return each.second.slot == slot; });
}

void Pool::order_failed(std::uint32_t slot) {
    if (strike(ordered_slots_, slot)) board_.release(slot);
}

void Pool::forked(const control::Message& message) {
    if (strike(unannounced_, message.slot)) {
        if (!has_slot(message.slot)) board_.release(message.slot);
        return;
    }
    if (!strike(ordered_slots_, message.slot)) return;
    const bool ended = ended_unknown_.erase(message.pid) > 0;
    if (ordered_slots_.empty()) ended_unknown_.clear();
    if (message.pid < 0) {
        log(Level::error, "fork a spare: {}", errno_text(-message.pid));
        ++wasted_;
        fork_failed_ = true;
    }
    if (message.pid < 0 || ended) return board_.release(message.slot);
    children_[message.pid].slot = message.slot;
}

/// A fork whose answer was lost with its template: the child is adopted, unknown, and finds its slot retired.
void Pool::forget_orders() {
    for (const std::uint32_t slot : unannounced_) {
        if (!has_slot(slot)) board_.release(slot);
    }
    for (const std::uint32_t slot : ordered_slots_) {
        board_.retire(slot);
        lost_.push_back(slot);
    }
    unannounced_.clear();
    ordered_slots_.clear();
    ended_unknown_.clear();
}

/// Who may have a lost slot: a spare of a template that is gone, or the short-lived process between the two,
/// from which the spare is still to come. Either was inherited by us before its parent could be reaped, so it
/// is among our children, is in no table, and holds the listening socket, which a command closes before the
/// program starts and which no exec passes on. A child that we cannot look into (it is ending, and its own
/// child may be about to become ours, or it is another user's) may be one: then the slots stay lost until the
/// next look. One that waits is killed if all lost slots are retired: no client can have been taken by it.
void Pool::reclaim_lost(int listener, const Known& known) {
    if (lost_.empty()) return;
    const auto children = children_of_ours();
    if (!children) return;
    const std::string socket = file_behind("/proc/self/fd/" + std::to_string(listener));
    const bool retired = std::all_of(lost_.begin(), lost_.end(), [this](std::uint32_t slot) {
        return board_.state(slot) == control::SlotState::retired;
    });
    bool some = false;
    for (const pid_t pid : *children) {
        if (known(pid)) continue;
        const Holds answer = holds(pid, socket);
        if (answer == Holds::yes && retired) kill(pid, SIGKILL);
        some = some || answer != Holds::no;
    }
    if (some) return;
    for (const std::uint32_t slot : lost_) board_.release(slot);
    lost_.clear();
}

void Pool::forgive() {
    wasted_ = 0;
    fork_failed_ = false;
}

bool Pool::retire_spares(std::size_t but) {
    bool all = true;
    for (const auto& [pid, child] : children_) {
        if (child.command) continue;
        if (but > 0 && board_.state(child.slot) != control::SlotState::retired) {
            --but;
            continue;
        }
        if (board_.retire(child.slot)) {
            kill(pid, SIGKILL);
        } else {
            all = false;
        }
    }
    return all;
}

void Pool::await_spares() {
    std::vector<pid_t> waiting;
    for (const auto& [pid, child] : children_) {
        if (!child.command) waiting.push_back(pid);
    }
    for (const pid_t pid : waiting) {
        while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
        board_.release(children_[pid].slot);
        children_.erase(pid);
    }
}

void Pool::signal_commands(int signal) const {
    for (const auto& [pid, child] : children_) {
        if (child.command && child.group > 1) kill(-child.group, signal);
    }
}

/// A client that stops because its command has stopped is not followed. If it goes on just when it is looked
/// at, its command may be stopped in vain: the next look mends that. A client's pid can have become another
/// process's only once the client has ended: on the connection's hangup its command is ended, or forgets it.
void Pool::follow_clients() {
    for (auto& [pid, child] : children_) {
        if (!child.command || child.client <= 0) continue;
        const bool stopped = process_state(child.client) == 'T';
        if (stopped && !child.held && process_state(pid) != 'T') {
            child.held = true;
            kill(pid, SIGSTOP);
        } else if (!stopped && child.held) {
            child.held = false;
            kill(pid, SIGCONT);
        }
    }
}

/// Read first: what is sent later sets it again.
void Pool::alarm_rings() {
    std::uint64_t times = 0;
    [[maybe_unused]] const ssize_t size = read(alarm_.get(), &times, sizeof times);
    drain();
}

void Pool::drain() {
    while (receive_one()) continue;
}

bool Pool::receive_one() {
    Packet packet = receive_packet(our_end_.get());
    if (!packet.complete()) return false;
    // The command is there all the same.
    if (!packet.fds[0]) {
        log(Level::warning, "the connection of process {} was lost on its way", packet.message.pid);
    }
    if (packet.message.kind == control::MessageKind::misfit) {
        packet.message.text[control::k_text - 1] = '\0';
        owner_.misfit(variant_, packet.message, std::move(packet.fds));
    } else {
        handed_over(packet.message, std::move(packet.fds[0]));
    }
    return true;
}

void Pool::handed_over(const control::Message& message, Fd connection) {
    if (message.kind == control::MessageKind::stale) return owner_.stale(std::move(connection));
    if (message.kind == control::MessageKind::doubt) return owner_.doubt(std::move(connection));
    if (message.kind == control::MessageKind::needs_session) return owner_.needs_session(connection);
    Child& child = children_[message.pid];
    child.group = message.group;
    child.slot = message.slot;
    child.command = true;
    child.client = peer_of(connection);
    child.connection = std::move(connection);
    if (strike(ordered_slots_, message.slot)) unannounced_.push_back(message.slot);
    strike(lost_, message.slot);
    ++commands_run_;
    ran_out_ = ran_out_ || spares() == 0;
    forgive();
    if (child.connection) {
        const pid_t pid = message.pid;
        child.hangup =
            loop_.on_io(child.connection.get(), EPOLLRDHUP, [this, pid](std::uint32_t) { client_gone(pid); });
    }
    owner_.pool_changed();
}

/// The client closed its end: because it was told the end of the command, or because it was killed. A signal
/// that it could have passed on it would have passed on, so the command gets what killed it.
/// One that is about to report is past all effects, and is left to note what it has learned.
/// One that has said so may go on without its client (quicken.done), whom it follows no longer.
void Pool::client_gone(pid_t pid) {
    const auto found = children_.find(pid);
    if (found == children_.end()) return;
    Child& child = found->second;
    child.hangup.reset();
    child.client = 0;
    if (board_.state(child.slot) == control::SlotState::taken) kill(pid, SIGKILL);
    if (child.held) kill(pid, SIGCONT);
    child.held = false;
}

void Pool::report(const Child& child, const siginfo_t& info) const {
    if (!child.connection || board_.state(child.slot) == control::SlotState::reported) return;
    const bool stopped = info.si_code == CLD_STOPPED;
    if (stopped && child.held) return;
    send_reply(child.connection.get(), stopped ? wire::ReplyKind::stopped : wire::ReplyKind::exited,
               stopped ? info.si_status : wait_status(info), info.si_pid, {});
}

/// A spare that takes a client and ends with status 0 has refused it, or it was gone: no fault of the
/// spare's.
void Pool::count_waste(const Child& child, const siginfo_t& info) {
    const control::SlotState state = board_.state(child.slot);
    const bool failed = info.si_code != CLD_EXITED || info.si_status != 0;
    if (state != control::SlotState::idle && (state == control::SlotState::retired || !failed)) return;
    ++wasted_;
    fork_failed_ = false;
}

void Pool::stranger_ended(pid_t pid) {
    if (order_outstanding()) ended_unknown_.insert(pid);
}

void Pool::child_changed(const siginfo_t& info) {
    const auto found = children_.find(info.si_pid);
    const bool ended = info.si_code != CLD_STOPPED && info.si_code != CLD_CONTINUED;
    if (found == children_.end()) return;
    const Child& child = found->second;
    report(child, info);
    if (!ended) return;
    const std::uint32_t slot = child.slot;
    if (child.command && board_.state(slot) == control::SlotState::retired) --commands_run_;
    if (!child.command) count_waste(child, info);
    if (std::find(unannounced_.begin(), unannounced_.end(), slot) == unannounced_.end()) board_.release(slot);
    children_.erase(found);
    owner_.pool_changed();
}

}  // namespace quicken::server
