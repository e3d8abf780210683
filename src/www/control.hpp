// What reaches the program from outside while it serves: signals, and the
// supervisor's messages (serve/protocol.hpp). A thread of its own waits for them: all that it
// asks of the server may be asked from any thread.
//
// SIGINT and SIGTERM, blocked in every thread, are read from a descriptor: the first one drains,
// the second ends at once. So does the end of the supervisor, and its "stop".
#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "common/fd.hpp"
#include "http/server.hpp"

namespace quicken::www {

/// Before any thread starts: none of them is to have these signals.
void block_signals();

class Control {
 public:
    /// `supervisor` may be none. Neither server nor settings are owned; both outlive it.
    Control(http::Server& server, const http::Settings& settings, Fd supervisor);
    /// Ends the thread.
    ~Control();
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    /// Asks the supervisor for a listening socket; waits for it. Throws Error. Before start().
    Fd ask_to_listen(const std::string& address, std::uint16_t port);
    /// Says that it serves, and begins to listen to what comes.
    void start(const std::string& directory);

 private:
    void work();
    void take_signal();
    bool take_message();
    void obey(const std::string& text, Fd passed);
    void answer_idle();
    void end_soon();

    http::Server& server_;
    const http::Settings& settings_;
    Fd supervisor_;
    Fd signals_;
    Fd wake_;
    bool draining_ = false;
    bool has_successor_ = false;
    std::thread thread_;
};

}  // namespace quicken::www
