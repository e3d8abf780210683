// What goes between the client's terminal and the command's.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cstddef>

#include "terminal.hpp"

namespace quicken::client {

class Pump {
 public:
    /// `master`: of the command's terminal, non-blocking from now on; -1 without one. `group`: the command's
    /// process group. Borrows all.
    Pump(Terminal& terminal, int master, pid_t group);

    /// Fills in what is to be waited for. Milliseconds after which to look again, or -1.
    int watch(pollfd& terminal, pollfd& master) const;
    void handle(const pollfd& terminal, const pollfd& master);

    /// Makes the terminal raw and passes on what has been typed already, which it has echoed.
    void take_terminal();

    /// All that the command has written and that is there by now. False if the client's terminal has taken
    /// nothing for `patience` ns, if that is not negative: it is stopped, or nobody reads it.
    bool drain(long patience = -1);
    /// What a plain run would not have been able to write before it was killed.
    void discard();
    /// Nobody has the command's terminal open, and all has come out of it.
    bool is_done() const { return closed_ && output_begin_ == output_end_; }
    /// What was typed and has been read by nobody, the beginning if there is more than `size`. Takes it away
    /// from the command's terminal.
    std::size_t take_unread(char* to, std::size_t size);

    [[noreturn]] void run_to_end();

 private:
    void hang_up();
    void type_silently();
    bool read_output();
    void write_output();
    void adapt_output();
    void strip_returns();
    int open_slave() const;
    void read_input();
    void write_input();
    void signal_own_group(const wire::Terminal& modes, std::size_t size) const;

    Terminal& terminal_;
    int master_;
    pid_t group_;
    bool closed_ = false;       // as the last read found it
    bool gone_ = false;         // the client's terminal, and with it the command's
    bool forwarded_ = false;    // something that was typed
    char last_ = 0;             // byte of the output before
    bool held_return_ = false;  // a carriage return that may be followed by a newline
    std::size_t flow_ = 0;      // bytes that have come in a row
    std::size_t output_begin_ = 0, output_end_ = 0;
    std::size_t input_begin_ = 0, input_end_ = 0;
    char output_[16384];
    char input_[4096];
};

}  // namespace quicken::client
