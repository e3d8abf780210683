// The command's terminal makes lines as the program wants them ("\n" becomes
// "\r\n"). The client's terminal goes on doing so, for other programs that write
// to it. So the carriage returns are taken out on the way, which leaves exactly
// what the program wrote. Where it has written a newline without one, or
// writes much, the terminal is told to leave its output as it is.
#include "pump.hpp"

#include <asm/ioctls.h>
#include <asm/termbits.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "common/sys.hpp"

namespace quicken::client {

namespace {

constexpr int k_look_again =
    50;  // ms, while nobody has the command's terminal open: there is no event for that

constexpr std::size_t k_little = 2048;    // bytes read at once: no longer much
constexpr std::size_t k_much = 1U << 16;  // bytes in a row
constexpr std::size_t k_page = 4096;
constexpr long k_processing = 500000;  // ns

bool would_block(long result) {
    return result == -EAGAIN || result == -EINTR;
}

int signal_of(char key, const wire::Terminal& modes) {
    const auto code = static_cast<std::uint8_t>(key);
    if (code == 0) return 0;  // _POSIX_VDISABLE
    if (code == modes.characters[VINTR]) return SIGINT;
    return code == modes.characters[VQUIT] ? SIGQUIT : 0;
}

/// Whole lines, and what an end of file (VEOF) follows, as they have been typed: to one that reads other than
/// by lines it would be a NUL.
std::size_t read_lines(int fd, char* to, std::size_t size) {
    wire::Terminal modes{};
    if (sys::ioctl(fd, TCGETS, &modes) != 0 || (modes.modes[3] & ICANON) == 0) return 0;
    std::size_t count = 0;
    while (count < size) {
        const long got = sys::read(fd, to + count, size - count);
        if (got < 0) break;
        count += static_cast<std::size_t>(got);
        const auto last = static_cast<std::uint8_t>(got > 0 ? to[count - 1] : 0);
        const bool ended =
            last != 0 && (last == '\n' || last == modes.characters[VEOL] || last == modes.characters[VEOL2]);
        if (!ended && count < size) to[count++] = static_cast<char>(modes.characters[VEOF]);
    }
    return count;
}

void set_non_blocking(int fd) {
    sys::fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
}

}  // namespace

Pump::Pump(Terminal& terminal, int master, pid_t group)
    : terminal_(terminal), master_(master), group_(group) {
    if (master >= 0) set_non_blocking(master);
}

int Pump::watch(pollfd& terminal, pollfd& master) const {
    terminal = {gone_ ? -1 : terminal_.fd(), 0, 0};
    master = {closed_ ? -1 : master_, 0, 0};
    const bool has_output = output_begin_ < output_end_;
    const bool has_input = input_begin_ < input_end_;
    if (has_output) terminal.events |= POLLOUT;
    if (!has_input && terminal_.is_raw()) terminal.events |= POLLIN;
    if (!has_output) master.events |= POLLIN;
    if (has_input) master.events |= POLLOUT;
    return closed_ && !gone_ ? k_look_again : -1;
}

void Pump::handle(const pollfd& terminal, const pollfd& master) {
    if (terminal.fd >= 0 && (terminal.revents & POLLHUP) != 0) hang_up();
    if (gone_) return;
    if (terminal.fd >= 0 && terminal.revents != 0) {
        if ((terminal.events & POLLIN) != 0) read_input();
        if ((terminal.events & POLLOUT) != 0) write_output();
    }
    if (closed_ || (master.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        if (output_begin_ == output_end_) read_output();
        if (output_begin_ == output_end_ && held_return_) read_output();
    }
    if (input_begin_ < input_end_) write_input();
}

/// The client's terminal is gone, so the command's is: reads from it end, writes to it fail.
void Pump::hang_up() {
    gone_ = closed_ = true;
    output_begin_ = output_end_;
    sys::close(master_);
    master_ = -1;
}

/// False if there was nothing.
bool Pump::read_output() {
    const std::size_t held = held_return_ ? 1 : 0;
    if (held_return_) output_[0] = '\r';
    long got = 0;
    std::size_t end = held;
    // A read gives a page at most.
    do {
        got = sys::read(master_, output_ + end, sizeof output_ - end);
        if (got > 0) end += static_cast<std::size_t>(got);
    } while (got > 0 && sizeof output_ - end >= k_page);
    closed_ = got <= 0 && !would_block(got);
    output_begin_ = 0;
    output_end_ = end;
    held_return_ = false;
    if (end > held) adapt_output();
    if (output_end_ > 0) last_ = output_[output_end_ - 1];
    write_output();
    return end > held;
}

/// A newline without a carriage return can only be had exactly; and much output is slow if lines are made of
/// it twice.
void Pump::adapt_output() {
    const std::size_t size = output_end_;
    flow_ = size < k_little ? 0 : flow_ + size;
    if (flow_ > k_much) return terminal_.follow_output(master_, true);
    char before = last_;
    bool newline = false;
    bool alone = false;
    for (std::size_t i = 0; i < size; ++i) {
        if (output_[i] == '\n') {
            newline = true;
            alone = alone || before != '\r';
        }
        before = output_[i];
    }
    if (newline) terminal_.follow_output(master_, alone);
    if (terminal_.adds_returns()) strip_returns();
}

void Pump::strip_returns() {
    std::size_t to = 0;
    for (std::size_t from = 0; from < output_end_; ++from) {
        if (output_[from] == '\r' && from + 1 == output_end_) {
            held_return_ = true;  // a newline may follow
        } else if (output_[from] != '\r' || output_[from + 1] != '\n') {
            output_[to++] = output_[from];
        }
    }
    output_end_ = to;
}

void Pump::write_output() {
    if (output_begin_ == output_end_) return;
    const long put = sys::write(terminal_.fd(), output_ + output_begin_, output_end_ - output_begin_);
    if (would_block(put)) return;
    output_begin_ = put < 0 ? output_end_ : output_begin_ + static_cast<std::size_t>(put);
}

void Pump::read_input() {
    if (input_begin_ < input_end_) return;
    const long got = sys::read(terminal_.fd(), input_, sizeof input_);
    if (would_block(got)) return;
    input_begin_ = 0;
    input_end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    write_input();
}

void Pump::write_input() {
    wire::Terminal modes{};
    const bool known = sys::ioctl(master_, TCGETS, &modes) == 0;
    pid_t foreground = 0;
    sys::ioctl(master_, TIOCGPGRP, &foreground);
    const long put = sys::write(master_, input_ + input_begin_, input_end_ - input_begin_);
    if (put <= 0) return;
    forwarded_ = true;
    if (known && foreground == group_) signal_own_group(modes, static_cast<std::size_t>(put));
    input_begin_ += static_cast<std::size_t>(put);
}

/// The command's terminal has sent its group a signal for a key. A plain run would be in one group with the
/// programs that it was started by and with (a shell script, make), which would get it as well.
void Pump::signal_own_group(const wire::Terminal& modes, std::size_t size) const {
    if ((modes.modes[3] & ISIG) == 0) return;
    for (std::size_t i = 0; i < size; ++i) {
        const int signal = signal_of(input_[input_begin_ + i], modes);
        if (signal != 0) sys::kill(0, signal);
    }
}

void Pump::take_terminal() {
    if (input_begin_ == input_end_) {
        input_begin_ = 0;
        input_end_ = read_lines(terminal_.fd(), input_, sizeof input_);
    }
    terminal_.make_raw();
    const long got = sys::read(terminal_.fd(), input_ + input_end_, sizeof input_ - input_end_);
    if (got > 0) input_end_ += static_cast<std::size_t>(got);
    if (input_begin_ < input_end_) type_silently();
}

void Pump::type_silently() {
    wire::Terminal modes{};
    if (sys::ioctl(master_, TCGETS, &modes) != 0) return;
    wire::Terminal silent = modes;
    silent.modes[3] &= ~static_cast<std::uint32_t>(ECHO | ECHONL);
    sys::ioctl(master_, TCSETS, &silent);
    write_input();
    // The other end processes it in its own time; to ask whether it can be read makes it do so.
    const int slave = open_slave();
    pollfd readable{slave, POLLIN, 0};
    timespec limit{0, k_processing};
    sys::ppoll(&readable, 1, &limit, nullptr);
    limit = {0, k_processing};
    sys::ppoll(nullptr, 0, &limit, nullptr);
    if (slave >= 0) sys::close(slave);
    wire::Terminal now{};
    if (sys::ioctl(master_, TCGETS, &now) == 0 && same_modes(now, silent))
        sys::ioctl(master_, TCSETS, &modes);
}

int Pump::open_slave() const {
    return static_cast<int>(
        sys::ioctl_number(master_, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
}

bool Pump::drain(long patience) {
    for (;;) {
        while (output_begin_ < output_end_) {
            pollfd writable{terminal_.fd(), POLLOUT, 0};
            timespec limit{0, patience};
            if (sys::ppoll(&writable, 1, patience < 0 ? nullptr : &limit, nullptr) == 0) return false;
            write_output();
        }
        if (!read_output() && output_begin_ == output_end_) return true;
    }
}

void Pump::discard() {
    output_begin_ = output_end_;
    held_return_ = false;
    sys::ioctl_number(master_, TCFLSH, TCIFLUSH);
}

std::size_t Pump::take_unread(char* to, std::size_t size) {
    if (!forwarded_) return 0;
    std::size_t count = 0;
    const int slave = open_slave();
    wire::Terminal modes{};
    if (slave >= 0 && sys::ioctl(slave, TCGETS, &modes) == 0) {
        count = read_lines(slave, to, size);
        wire::Terminal raw = modes;
        raw.modes[3] &= ~static_cast<std::uint32_t>(ICANON);
        sys::ioctl(slave, TCSETS, &raw);
        const long got = sys::read(slave, to + count, size - count);
        if (got > 0) count += static_cast<std::size_t>(got);
        sys::ioctl(slave, TCSETS, &modes);
    }
    if (slave >= 0) sys::close(slave);
    while (count < size && input_begin_ < input_end_) to[count++] = input_[input_begin_++];
    return count;
}

void Pump::run_to_end() {
    drain();
    while (!closed_) {
        pollfd master{master_, POLLIN, 0};
        sys::ppoll(&master, 1, nullptr, nullptr);
        drain();
    }
    sys::exit(0);
}

}  // namespace quicken::client
