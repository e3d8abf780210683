#include "pool.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "common/error.hpp"
#include "connection.hpp"
#include "log.hpp"

namespace quicken::server {

namespace {

/// Status as waitpid(2) gives it.
int wait_status(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) return (info.si_status & 0xff) << 8;
    return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

}  // namespace

Pool::Pool(Loop& loop, Board& board, Listener listener)
    : loop_(loop), board_(board), listener_(std::move(listener)) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) throw_errno("make", "a socket pair");
    our_end_ = Fd(ends[0]);
    spares_end_ = Fd(ends[1]);
    readable_ = loop.on_io(our_end_.get(), EPOLLIN, [this](std::uint32_t) { receive_one(); });
}

Pool::~Pool() {
    for (const auto& [pid, child] : children_) {
        if (!child.connection) kill(pid, SIGKILL);
    }
}

std::size_t Pool::spares() const {
    return static_cast<std::size_t>(
        std::count_if(children_.begin(), children_.end(), [](const auto& each) { return !each.second.connection; }));
}

std::vector<pid_t> Pool::commands() const {
    std::vector<pid_t> found;
    for (const auto& [pid, child] : children_) {
        if (child.connection) found.push_back(pid);
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

void Pool::forked(const control::Message& message) {
    const auto order = std::find(ordered_slots_.begin(), ordered_slots_.end(), message.slot);
    if (order == ordered_slots_.end()) return;
    ordered_slots_.erase(order);
    if (message.pid < 0) {
        log(Level::error, "fork a spare: {}", errno_text(-message.pid));
        board_.release(message.slot);
        ++wasted_;
        return;
    }
    children_[message.pid].slot = message.slot;
}

/// A fork whose answer was lost with its template: the child is adopted, unknown, and finds its template's
/// slot retired.
void Pool::forget_orders() {
    for (const std::uint32_t slot : ordered_slots_) {
        const bool known = std::any_of(children_.begin(), children_.end(),
                                       [slot](const auto& each) { return each.second.slot == slot; });
        if (!known) board_.retire(slot);
    }
    ordered_slots_.clear();
}

bool Pool::retire_spares() {
    bool all = true;
    for (const auto& [pid, child] : children_) {
        if (child.connection) continue;
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
        if (!child.connection) waiting.push_back(pid);
    }
    for (const pid_t pid : waiting) {
        while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
        board_.release(children_[pid].slot);
        children_.erase(pid);
    }
}

void Pool::signal_commands(int signal) const {
    for (const pid_t pid : commands()) kill(-pid, signal);
}

void Pool::drain() {
    while (receive_one()) continue;
}

bool Pool::receive_one() {
    control::Message message{};
    iovec part{&message, sizeof message};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    if (recvmsg(our_end_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != static_cast<ssize_t>(sizeof message)) {
        return false;
    }
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return true;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    handed_over(message, Fd(fd));
    return true;
}

void Pool::handed_over(const control::Message& message, Fd connection) {
    if (message.kind == control::MessageKind::stale) return listener_.stale(std::move(connection));
    Child& child = children_[message.pid];
    child.slot = message.slot;
    child.connection = std::move(connection);
    const pid_t pid = message.pid;
    child.hangup = loop_.on_io(child.connection.get(), EPOLLRDHUP, [this, pid](std::uint32_t) { client_gone(pid); });
    ++commands_run_;
    wasted_ = 0;
    listener_.changed();
}

/// The client closed its end: because it was told the end of the command, or because it was killed. A signal
/// that it could have passed on it would have passed on, so the command gets what killed it.
/// A command that has reported but not yet said so on the board is past all effects: killing it is harmless.
void Pool::client_gone(pid_t pid) {
    const auto found = children_.find(pid);
    if (found == children_.end()) return;
    found->second.hangup.reset();
    if (board_.state(found->second.slot) == control::SlotState::taken) kill(pid, SIGKILL);
}

void Pool::report(const Child& child, const siginfo_t& info) const {
    if (!child.connection || board_.state(child.slot) == control::SlotState::reported) return;
    const bool stopped = info.si_code == CLD_STOPPED;
    send_reply(child.connection.get(), stopped ? wire::ReplyKind::stopped : wire::ReplyKind::exited,
               stopped ? info.si_status : wait_status(info), info.si_pid, {});
}

bool Pool::child_changed(const siginfo_t& info) {
    const auto found = children_.find(info.si_pid);
    if (found == children_.end()) return false;
    report(found->second, info);
    if (info.si_code == CLD_STOPPED || info.si_code == CLD_CONTINUED) return true;
    if (found->second.connection && board_.state(found->second.slot) == control::SlotState::retired) --commands_run_;
    if (!found->second.connection && board_.state(found->second.slot) != control::SlotState::retired) ++wasted_;
    board_.release(found->second.slot);
    children_.erase(found);
    listener_.changed();
    return true;
}

}  // namespace quicken::server
