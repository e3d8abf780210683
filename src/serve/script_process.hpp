// One process of the script, from its start to its end, and what is said with it
// (protocol.hpp).
//
// The process that we start is quicken's client, which stands for the script's:
// signals to it reach the script, its status is the script's, and the script
// is killed if it is. Who the script's process itself is, its first packet tells (SCM_CREDENTIALS).
// Packets are read to the last one before the end is told: what the script has said
// when it left counts.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "common/fd.hpp"
#include "common/loop.hpp"
#include "serve/launch.hpp"

namespace quicken::serve {

class ScriptProcess {
 public:
    struct Events {
        std::function<void(ScriptProcess&, const nlohmann::json&)> said;
        std::function<void(ScriptProcess&)> mute;        // it has closed the socket by which it is controlled
        std::function<void(ScriptProcess&, int)> ended;  // as waitpid(2) has it; may destroy the process
    };

    /// Throws Error if it cannot be started.
    ScriptProcess(Loop& loop, const Launch& launch, unsigned generation, Events events);
    /// Kills what has not ended.
    ~ScriptProcess();
    ScriptProcess(const ScriptProcess&) = delete;
    ScriptProcess& operator=(const ScriptProcess&) = delete;

    /// False if it does not read what it is told.
    bool tell(const nlohmann::json& message, int fd = -1);
    void signal(int number) const;
    /// Stops it whatever it does with signals, or lets it go on. Its session is its own, so that SIGTSTP,
    /// which is not for orphaned process groups, would do nothing.
    void suspend(bool on) const;

    unsigned generation() const { return generation_; }
    /// The script's, once it has said something; else the client's.
    pid_t pid() const { return script_ > 0 ? script_ : client_; }
    std::time_t started() const { return started_; }
    /// Seconds since its start.
    double age() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
    }

    // What the supervisor knows of it.
    bool serving = false;  // has said so
    bool leaving = false;  // has said so
    bool draining = false;
    std::int64_t since = 0;    // ns since the epoch, as files have it: when it was to be started
    bool outdated = false;     // another one is wished for, and this one does not serve yet
    double drain_timeout = 0;  // seconds
    std::map<std::pair<std::string, int>, int> claims;  // how often it has asked for an address
    int claimed = 0;                                    // requests for sockets so far
    Source limit;                                       // when it is killed
    std::string killed_for;                             // why it was

 private:
    void read_packets();
    bool read_packet();
    void end();

    Loop& loop_;
    Events events_;
    unsigned generation_;
    std::time_t started_;
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
    Fd control_;
    pid_t client_ = -1;  // -1 once it was waited for
    pid_t script_ = -1;
    Fd client_handle_;
    Source readable_;
    Source ended_;
};

/// "ended with status 3", "was killed by signal 9 (Killed)".
std::string ending_text(int status);

}  // namespace quicken::serve
