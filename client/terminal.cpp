// TIOCGPGRP succeeds for a terminal only if it is the caller's controlling one
// (ioctl_tty(2)): so one call tells which fds are to be the command's terminal.
// Others are passed as they are.
#include "terminal.hpp"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <sys/stat.h>

#include <csignal>
#include <cstddef>
#include <cstring>

#include "common/raw_modes.hpp"
#include "common/sys.hpp"
#include "descriptor.hpp"
#include "ending.hpp"

namespace quicken::client {

namespace {

struct Size {
    std::uint16_t rows, columns, width, height;
};

using raw_modes::k_local;
using raw_modes::k_output;

/// Output is processed in no other way than that a carriage return is put before a newline.
bool makes_plain_lines(const wire::Terminal& modes) {
    return modes.modes[k_output] == (OPOST | ONLCR);
}

void keep_size(wire::Terminal& terminal, const Size& size) {
    terminal.rows = size.rows;
    terminal.columns = size.columns;
    terminal.width = size.width;
    terminal.height = size.height;
}

bool same_size(const Size& size, const wire::Terminal& terminal) {
    return size.rows == terminal.rows && size.columns == terminal.columns && size.width == terminal.width &&
           size.height == terminal.height;
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

bool same_modes(const wire::Terminal& one, const wire::Terminal& other) {
    return std::memcmp(&one, &other, offsetof(wire::Terminal, rows)) == 0;
}

void Terminal::open() {
    fd_ = lift(sys::open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (fd_ < 0) fd_ = -1;
}

void Terminal::describe(wire::Request& request) {
    Size size{};
    if (!get(request.modes)) return;
    sys::ioctl(fd_, TIOCGWINSZ, &size);
    keep_size(request.modes, size);
    initial_ = request.modes;
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
    // What has been typed ahead may be for the next program: it is taken when this one asks. One that ignores
    // the signals of job control (a shell's command substitution) cannot ask.
    const bool first = (reads && alone && typed() == 0) || is_ignored(SIGTTIN) || is_ignored(SIGTTOU);
    if (first && in_foreground()) request.terminal |= wire::k_foreground;
}

void Terminal::mark(std::span<std::uint32_t> inherited) const {
    if (!exists()) return;
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

bool Terminal::copy_size(int master) {
    Size now{};
    if (sys::ioctl(fd_, TIOCGWINSZ, &now) != 0) return false;
    const bool changed = !same_size(now, initial_);
    keep_size(initial_, now);
    return changed && sys::ioctl(master, TIOCSWINSZ, &now) == 0;
}

/// As they are without what a client, which may be another one, has done to them.
bool Terminal::get(wire::Terminal& modes) const {
    if (sys::ioctl(fd_, TCGETS, &modes) != 0) return false;
    raw_modes::undo(modes);
    return true;
}

void Terminal::set(const wire::Terminal& modes) const {
    sys::ioctl(fd_, TCSETS, &modes);
}

void Terminal::make_raw() {
    wire::Terminal now{};
    if (sys::ioctl(fd_, TCGETS, &now) != 0 || (raw_ && same_modes(now, raw_modes_))) return;
    raw_modes::undo(now);
    modes_ = now;
    raw_modes_ = raw_modes::of(modes_, makes_plain_lines(modes_));
    set(raw_modes_);
    raw_ = true;
}

bool Terminal::adds_returns() const {
    wire::Terminal modes{};
    if (raw_) return (raw_modes_.modes[k_output] & OPOST) != 0;
    return sys::ioctl(fd_, TCGETS, &modes) == 0 && makes_plain_lines(modes);
}

void Terminal::follow_output(int master, bool exactly) {
    if (!raw_ || exactly != adds_returns()) return;
    wire::Terminal theirs{};
    const bool again = sys::ioctl(master, TCGETS, &theirs) == 0 && makes_plain_lines(theirs);
    if (!exactly && (!again || !makes_plain_lines(modes_))) return;
    raw_modes_.modes[k_output] =
        exactly ? modes_.modes[k_output] & ~static_cast<std::uint32_t>(OPOST) : modes_.modes[k_output];
    if (in_foreground()) set(raw_modes_);
}

/// Settings that nobody has changed are left alone: another program of a pipeline may have set its own.
void Terminal::adopt(int master, bool modes_too, const char* unread, std::size_t size) {
    wire::Terminal theirs{};
    Size their_size{};
    if (!modes_too || sys::ioctl(master, TCGETS, &theirs) != 0) theirs = raw_ ? modes_ : initial_;
    const bool changed = raw_ || !same_modes(theirs, initial_);
    raw_ = false;
    if (!in_foreground()) return;
    if (size > 0) give_back(theirs, unread, size);
    if (changed) set(theirs);
    if (sys::ioctl(master, TIOCGWINSZ, &their_size) == 0 && !same_size(their_size, initial_))
        sys::ioctl(fd_, TIOCSWINSZ, &their_size);
}

/// It has been echoed when it was typed.
void Terminal::give_back(wire::Terminal modes, const char* unread, std::size_t size) const {
    modes.modes[k_local] &= ~static_cast<std::uint32_t>(ECHO | ECHONL);
    set(modes);
    for (std::size_t i = 0; i < size; ++i) sys::ioctl(fd_, TIOCSTI, unread + i);
}

void Terminal::pass_on(int master) {
    wire::Terminal modes{};
    if (!get(modes)) return;
    std::memcpy(&initial_, &modes, offsetof(wire::Terminal, rows));
    sys::ioctl(master, TCSETS, &modes);
}

}  // namespace quicken::client
