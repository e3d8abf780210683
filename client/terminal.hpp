// The client's controlling terminal: what of it the request says, its modes
// while the command uses it, its foreground process group.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/wire.hpp"

namespace quicken::client {

class Terminal {
 public:
    /// Finds the terminal, if there is one, and says so in the request. `inherited`: fds above 2, of which
    /// those of the terminal are marked (wire::k_terminal_fd). Nothing of it is touched.
    void describe(wire::Request& request, std::span<std::uint32_t> inherited);

    /// Opens it. Before fds are counted: whether there is one more.
    void open();

    /// -1 without one; owned by the process until its exec or end.
    int fd() const { return fd_; }
    bool exists() const { return fd_ >= 0; }

    bool in_foreground() const;
    /// Bytes that have been typed and not read; of a line that is being typed, none.
    int typed() const;
    /// Its size into the command's terminal. True if that was another one.
    bool copy_size(int master) const;

    /// Everything that is typed comes as it is, nothing is echoed, no signal sent.
    void make_raw();
    bool is_raw() const { return raw_; }
    /// The modes of before make_raw.
    void restore();
    /// The modes that the command's terminal has now, which the program may have changed for good. `unread`:
    /// what was typed and read here, but not by the program, is put back to be read by the next one (TIOCSTI,
    /// where the kernel allows it).
    void adopt(int master, const char* unread, std::size_t size);
    /// Lines are written to it as the command's terminal makes them, so it must not add the carriage return
    /// again.
    bool adds_returns() const;

 private:
    void set(const wire::Terminal& modes) const;
    void give_back(wire::Terminal modes, const char* unread, std::size_t size) const;

    int fd_ = -1;
    wire::Terminal initial_{};  // as the request says
    wire::Terminal modes_{};    // before it was made raw
    bool raw_ = false;
};

}  // namespace quicken::client
