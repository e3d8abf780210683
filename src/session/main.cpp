// quicken-session SOCKET COMMAND: the leader of a command's session, as
// common/session.hpp says. SOCKET is an fd, COMMAND the pid of the spare.
//
// It has every signal blocked, SIGHUP too, by which the kernel tells that the
// terminal is gone: its own end would tell the command of that once more. Its
// standard input and output are closed, and it has the terminal open only while
// it uses it: the client sees the terminal's end when the command and its
// children have closed it.
#include <asm/ioctls.h>
#include <linux/prctl.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "common/raw_modes.hpp"
#include "common/session.hpp"
#include "common/sys.hpp"

namespace quicken::session {

namespace {

class Leader {
 public:
    Leader(int socket, pid_t command) : socket_(socket), command_(command) {}

    [[noreturn]] void run() {
        anchor_ = start_anchor();
        for (;;) {
            pollfd polls[2] = {{socket_, POLLIN, 0}, {ended_, POLLIN, 0}};  // ppoll ignores an fd of -1
            if (sys::ppoll(polls, 2, nullptr, nullptr) < 0) continue;
            if (polls[1].revents != 0) command_ended();
            if (polls[0].revents != 0) receive();
        }
    }

 private:
    /// Waits for nothing, in a group that it leads. Ends with the leader: by the kernel's signal, or because
    /// it finds, once it has asked for that, that the leader is gone already.
    static pid_t start_anchor() {
        const pid_t leader = sys::getpid();
        const pid_t pid = sys::fork();
        if (pid > 0) sys::setpgid(pid, pid);
        if (pid != 0) return pid;
        sys::close_range(0, ~0U);
        const sys::SignalSet all = ~sys::SignalSet{0};
        sys::sigprocmask(SIG_BLOCK, &all, nullptr);
        sys::prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (sys::getppid() == leader) sys::ppoll(nullptr, 0, nullptr, nullptr);
        sys::exit(0);
    }

    void receive() {
        Message message{};
        int fd = -1;
        const long got = receive_message(message, fd);
        if (got == -EINTR || got == -EAGAIN) return;
        if (got != static_cast<long>(sizeof message)) {
            restore_guarded();
            sys::exit(0);
        }
        switch (message.kind) {
            case Kind::attach:
                return attach(message.value);
            case Kind::foreground:
                set_foreground(group_);
                return proceed();
            case Kind::background:
                return set_foreground(sys::getpid());
            case Kind::proceed:
                set_foreground(sys::getpid());
                return proceed();
            case Kind::abandon:
                return end_anchor();
            case Kind::guard:
                guarded_ = fd;
                return;
            case Kind::leave:
                end_anchor();
                set_foreground(sys::getpid());
                return answer({Kind::leave, 0});
            case Kind::release:
                sys::close(guarded_);
                guarded_ = -1;
        }
    }

    long receive_message(Message& message, int& fd) const {
        iovec part{&message, sizeof message};
        alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof fd)];
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = ancillary;
        header.msg_controllen = sizeof ancillary;
        const long got = sys::receive_message(socket_, header, MSG_CMSG_CLOEXEC);
        if (got > 0 && header.msg_controllen >= CMSG_LEN(sizeof fd))
            std::memcpy(&fd, ancillary + CMSG_LEN(0), sizeof fd);
        return got;
    }

    /// Its client was killed. The terminal is another session's, so that nothing stops us (tty_ioctl(4)).
    void restore_guarded() const {
        wire::Terminal modes{};
        if (guarded_ < 0 || sys::ioctl(guarded_, TCGETS, &modes) != 0) return;
        if (raw_modes::undo(modes)) sys::ioctl(guarded_, TCSETS, &modes);
    }

    /// The command waits for our answer, so its pid is its own. Without an anchor it gets none, and its
    /// client runs plainly.
    void attach(std::uint32_t membership) {
        if (anchor_ <= 0) sys::exit(1);
        group_ = (membership & k_leads_group) != 0 ? command_ : anchor_;
        if (group_ == command_) sys::setpgid(anchor_, command_);
        ended_ = sys::pidfd_open(command_);
        if ((membership & k_foreground) != 0) set_foreground(group_);
        answer({Kind::attach, static_cast<std::uint32_t>(group_)});
    }

    void answer(const Message& message) const { sys::write(socket_, &message, sizeof message); }

    static void set_foreground(pid_t group) {
        const int terminal = sys::open("/dev/tty", O_RDWR | O_CLOEXEC);
        if (terminal < 0) return;
        sys::ioctl(terminal, TIOCSPGRP, &group);
        sys::close(terminal);
    }

    /// As long as the anchor is in the group, its number is nobody else's.
    void proceed() const {
        if (anchor_ > 0) sys::kill(-group_, SIGCONT);
    }

    void end_anchor() {
        if (anchor_ <= 0) return;
        sys::kill(anchor_, SIGKILL);
        sys::wait(anchor_);
        anchor_ = -1;
    }

    /// What it leaves behind is in the background, as it would be once a shell has taken its terminal back.
    void command_ended() {
        set_foreground(sys::getpid());
        end_anchor();
        sys::close(ended_);
        ended_ = -1;
    }

    int socket_;
    pid_t command_;
    pid_t anchor_ = -1;
    pid_t group_ = 0;
    int ended_ = -1;
    int guarded_ = -1;  // the client's terminal
};

int number(const char* text) {
    int value = 0;
    for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (*text - '0');
    return value;
}

[[noreturn]] void lead(int socket, pid_t command) {
    const sys::SignalSet all = ~sys::SignalSet{0};
    sys::sigprocmask(SIG_SETMASK, &all, nullptr);
    sys::prctl(PR_SET_NAME, sys::address("quicken-session"));
    if (socket > 0) sys::close_range(0, static_cast<unsigned>(socket) - 1);
    sys::close_range(static_cast<unsigned>(socket) + 1, ~0U);
    Leader(socket, command).run();
}

}  // namespace

}  // namespace quicken::session

extern "C" [[noreturn, gnu::used]] void quicken_start(unsigned long* stack) {
    char** arguments = reinterpret_cast<char**>(stack + 1);
    if (stack[0] != 3) quicken::sys::exit(2);
    quicken::session::lead(quicken::session::number(arguments[1]), quicken::session::number(arguments[2]));
}
