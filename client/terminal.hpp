// The client's controlling terminal: what of it the request says, its modes
// while the command uses it, its foreground process group.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/wire.hpp"

namespace quicken::client {

/// The same but for the size.
bool same_modes(const wire::Terminal& one, const wire::Terminal& other);

class Terminal {
 public:
    /// Opens it if there is one.
    void open();

    /// Says in the request what it is like. Nothing of it is touched.
    void describe(wire::Request& request);
    /// Marks (wire::k_terminal_fd) those of fds above 2 that are the terminal.
    void mark(std::span<std::uint32_t> inherited) const;

    /// -1 without one; owned by the process until its exec or end.
    int fd() const { return fd_; }
    bool exists() const { return fd_ >= 0; }

    bool in_foreground() const;
    /// Bytes that have been typed and not read; of a line that is being typed, none.
    int typed() const;
    /// Its size into the command's terminal. True if it was another one the last time.
    bool copy_size(int master);

    /// Everything that is typed comes as it is, nothing is echoed, no signal sent. It goes on making lines of
    /// what others write (a job in the background, the next program of a pipeline).
    void make_raw();
    bool is_raw() const { return raw_; }
    /// A newline that is written to it gets a carriage return.
    bool adds_returns() const;
    /// While it is raw: `exactly`, output comes out as it is written; otherwise lines are made of it again,
    /// if the command's terminal does so too.
    void follow_output(int master, bool exactly);

    /// No longer raw, with the settings that the command's terminal has now and that the program may have
    /// changed for good: its size and, if `modes_too`, its modes; else those of before. `unread`: what was
    /// typed and read here, but not by the program, is put back to be read by the next one (TIOCSTI, where
    /// the kernel allows it).
    void adopt(int master, bool modes_too, const char* unread, std::size_t size);
    /// The other way round: what a shell has set while it had the terminal.
    void pass_on(int master);

 private:
    bool get(wire::Terminal& modes) const;
    void set(const wire::Terminal& modes) const;
    void give_back(wire::Terminal modes, const char* unread, std::size_t size) const;

    int fd_ = -1;
    wire::Terminal initial_{};    // what the command's terminal was given
    wire::Terminal modes_{};      // before it was made raw
    wire::Terminal raw_modes_{};  // since then
    bool raw_ = false;
};

}  // namespace quicken::client
