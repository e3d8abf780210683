#include "serve/script_process.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/error.hpp"
#include "serve/protocol.hpp"

namespace quicken::serve {

namespace {

constexpr int k_on = 1;

std::pair<Fd, Fd> make_control() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        throw_errno("make", "a socket pair");
    std::pair<Fd, Fd> pair{Fd(ends[0]), Fd(ends[1])};
    if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &k_on, sizeof k_on) != 0)
        throw_errno("ask for the sender of packets on", "a socket pair");
    return pair;
}

/// Room for the sender and for descriptors, which nobody is to send.
struct alignas(cmsghdr) ControlData {
    std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(16 * sizeof(int))> bytes{};
};

pid_t sender_of(msghdr& message) {
    pid_t sender = -1;
    for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
        if (item->cmsg_level != SOL_SOCKET) continue;
        if (item->cmsg_type == SCM_CREDENTIALS) {
            ucred credentials{};
            std::memcpy(&credentials, CMSG_DATA(item), sizeof credentials);
            sender = credentials.pid;
        } else if (item->cmsg_type == SCM_RIGHTS) {
            for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= item->cmsg_len; at += sizeof(int)) {
                int fd = -1;
                std::memcpy(&fd, reinterpret_cast<const char*>(item) + at, sizeof fd);
                close(fd);
            }
        }
    }
    return sender;
}

}  // namespace

ScriptProcess::ScriptProcess(Loop& loop, const Launch& launch, unsigned generation, Events events)
    : loop_(loop), events_(std::move(events)), generation_(generation), started_(std::time(nullptr)) {
    auto [ours, theirs] = make_control();
    control_ = std::move(ours);
    client_ = launch.start(theirs, generation > 1);
    client_handle_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, client_, 0)));
    if (!client_handle_) throw_errno("watch", "the script's process");
    readable_ = loop_.on_io(control_.get(), EPOLLIN, [this](std::uint32_t) { read_packets(); });
    ended_ = loop_.on_io(client_handle_.get(), EPOLLIN, [this](std::uint32_t) { end(); });
}

ScriptProcess::~ScriptProcess() {
    if (client_ <= 0) return;
    suspend(false);
    kill(client_, SIGKILL);
    waitpid(client_, nullptr, 0);
}

void ScriptProcess::read_packets() {
    while (read_packet()) {
    }
}

/// False if there is none. At the other end's end the socket is left alone: its process is about to end, too.
bool ScriptProcess::read_packet() {
    std::string text(k_packet, '\0');
    iovec part{text.data(), text.size()};
    ControlData data;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = data.bytes.data();
    message.msg_controllen = data.bytes.size();
    const ssize_t size = recvmsg(control_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size <= 0) {
        if (size != 0 && (errno == EAGAIN || errno == EINTR)) return false;
        const bool lives = client_ > 0 && readable_;
        readable_.reset();
        if (lives) events_.mute(*this);
        return false;
    }
    const pid_t sender = sender_of(message);
    if (script_ <= 0 && sender > 0) script_ = sender;
    text.resize(static_cast<std::size_t>(size));
    const auto said = nlohmann::json::parse(text, nullptr, false);
    if (!said.is_object()) return true;
    try {
        events_.said(*this, said);
    } catch (const nlohmann::json::exception&) {
        // Of another type than the protocol has it: a script's mistake must not end who serves it.
    }
    return true;
}

void ScriptProcess::end() {
    read_packets();
    int status = 0;
    if (waitpid(client_, &status, WNOHANG) != client_) return;
    client_ = -1;
    readable_.reset();
    ended_.reset();
    limit.reset();
    const auto ended = events_.ended;  // it may destroy us
    ended(*this, status);
}

bool ScriptProcess::tell(const nlohmann::json& said, int fd) {
    const std::string text = said.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (text.size() > k_packet) return false;
    iovec part{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> data{};
    if (fd >= 0) {
        message.msg_control = data.data();
        message.msg_controllen = data.size();
        cmsghdr* item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(item), &fd, sizeof fd);
    }
    return sendmsg(control_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

void ScriptProcess::signal(int number) const {
    if (client_ > 0) kill(client_, number);
}

/// quicken's server sees that the client is stopped, and stops its command too.
void ScriptProcess::suspend(bool on) const {
    signal(on ? SIGSTOP : SIGCONT);
}

std::string ending_text(int status) {
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        return "was killed by signal " + std::to_string(number) + " (" + strsignal(number) + ")";
    }
    return "ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace quicken::serve
