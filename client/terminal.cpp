// TIOCGPGRP succeeds for a terminal only if it is the caller's controlling one
// (ioctl_tty(2)): so one call tells which fds are to be the command's terminal.
// Others are passed as they are.
#include "terminal.hpp"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstring>

#include "common/sys.hpp"
#include "descriptor.hpp"

namespace quicken::client {

namespace {

struct Size {
    std::uint16_t rows, columns, width, height;
};

bool same_modes(const wire::Terminal& one, const wire::Terminal& other) {
    return std::memcmp(&one, &other, offsetof(wire::Terminal, rows)) == 0;
}

bool is_terminal(int fd) {
    pid_t group = 0;
    return sys::ioctl(fd, TIOCGPGRP, &group) == 0;
}

/// Another program of a pipeline may want the keyboard: the pager that the output goes to, say.
bool is_pipe(int fd) {
    struct stat status;
    return sys::fstat(fd, status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

}  // namespace

void Terminal::open() {
    fd_ = lift(sys::open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (fd_ < 0) fd_ = -1;
}

void Terminal::describe(wire::Request& request, std::span<std::uint32_t> inherited) {
    Size size{};
    if (sys::ioctl(fd_, TCGETS, &request.modes) != 0) return;
    sys::ioctl(fd_, TIOCGWINSZ, &size);
    initial_ = request.modes;
    request.modes.rows = size.rows;
    request.modes.columns = size.columns;
    request.modes.width = size.width;
    request.modes.height = size.height;
    request.terminal = wire::k_has_terminal;
    bool alone = true;
    for (int fd = 0; fd < 3; ++fd) {
        if (is_terminal(fd)) {
            request.terminal |= 1U << static_cast<unsigned>(fd);
        } else if (is_pipe(fd)) {
            alone = false;
        }
    }
    const bool reads = (request.terminal & 1U) != 0;
    // What has been typed ahead may be for the next program: it is taken when this one asks.
    if (reads && alone && in_foreground() && typed() == 0) request.terminal |= wire::k_foreground;
    for (std::uint32_t& number : inherited) {
        if (is_terminal(static_cast<int>(number))) number |= wire::k_terminal_fd;
    }
}

bool Terminal::in_foreground() const {
    pid_t group = 0;
    return sys::ioctl(fd_, TIOCGPGRP, &group) == 0 && group == sys::getpgid(0);
}

int Terminal::typed() const {
    int count = 0;
    return sys::ioctl(fd_, TIOCINQ, &count) == 0 ? count : 0;
}

bool Terminal::copy_size(int master) const {
    Size now{};
    Size theirs{};
    if (sys::ioctl(fd_, TIOCGWINSZ, &now) != 0 || sys::ioctl(master, TIOCGWINSZ, &theirs) != 0) return false;
    if (now.rows == theirs.rows && now.columns == theirs.columns && now.width == theirs.width &&
        now.height == theirs.height)
        return false;
    return sys::ioctl(master, TIOCSWINSZ, &now) == 0;
}

void Terminal::set(const wire::Terminal& modes) const {
    sys::ioctl(fd_, TCSETS, &modes);
}

void Terminal::make_raw() {
    if (raw_ || sys::ioctl(fd_, TCGETS, &modes_) != 0) return;
    wire::Terminal raw = modes_;
    raw.modes[0] &=
        ~static_cast<std::uint32_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.modes[1] &= ~static_cast<std::uint32_t>(OPOST);
    raw.modes[3] &= ~static_cast<std::uint32_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.characters[VMIN] = 1;
    raw.characters[VTIME] = 0;
    set(raw);
    raw_ = true;
}

void Terminal::restore() {
    if (!raw_) return;
    raw_ = false;
    if (in_foreground()) set(modes_);
}

/// Modes that nobody has changed are left alone: another program of a pipeline may have set its own.
void Terminal::adopt(int master, const char* unread, std::size_t size) {
    wire::Terminal theirs{};
    if (sys::ioctl(master, TCGETS, &theirs) != 0) return restore();
    const bool changed = raw_ || !same_modes(theirs, initial_);
    raw_ = false;
    if (!changed || !in_foreground()) return;
    if (size > 0) give_back(theirs, unread, size);
    set(theirs);
}

/// It has been echoed when it was typed.
void Terminal::give_back(wire::Terminal modes, const char* unread, std::size_t size) const {
    modes.modes[3] &= ~static_cast<std::uint32_t>(ECHO | ECHONL);
    set(modes);
    for (std::size_t i = 0; i < size; ++i) sys::ioctl(fd_, TIOCSTI, unread + i);
}

bool Terminal::adds_returns() const {
    wire::Terminal modes{};
    if (raw_ || sys::ioctl(fd_, TCGETS, &modes) != 0) return false;
    return (modes.modes[1] & (OPOST | ONLCR)) == (OPOST | ONLCR);
}

}  // namespace quicken::client
