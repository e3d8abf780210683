// What is asked of the terminals behind fds 0 to 2 in C, where no event of
// Python's tells of it: tcgetattr(3), tcsetattr(3) and the window's size
// (ioctl_tty(2)) are interposed.
//
// What they do is what the C library's do; any thread may call them.
#pragma once

namespace quicken::interp {

inline constexpr unsigned k_asked_settings = 1;  // bit N: of fd N
inline constexpr unsigned k_asked_size = 8;      // bit N + 3: of fd N, and there was one

/// What has been asked, as bits; from now on it is `known`.
unsigned exchange_questions(unsigned known);

}  // namespace quicken::interp
