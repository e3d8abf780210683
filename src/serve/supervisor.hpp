// The supervisor of `quicken serve`: which of the script's processes serves.
//
// There are at most one that serves (`current_`), one that is to take its place
// (`successor_`), and those that drain (`leaving_`). A reload starts the successor; the moment it says
// that it serves it has claimed its sockets, which are the same kernel objects as its predecessor's: both
// accept until the predecessor, told so, stops. Connections that it still has go over a socket pair. So at no
// time nobody accepts, and what neither has accepted waits in the backlog of a socket that we hold. If the
// successor ends before it serves, nothing has been said to the predecessor yet.
//
// Only one successor at a time: a reason to reload that comes meanwhile is remembered (`again_`), as the new
// process may have read the old text. It may also hang, and the edit that comes mend that: so from then on it
// has only twice as long as a start of this script has ever taken. It is not killed at once, for the edit may
// be its own.
//
// Where the current process dies instead, it is started again: what a
// successor has begun is used.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/loop.hpp"
#include "serve/echoes.hpp"
#include "serve/edits.hpp"
#include "serve/launch.hpp"
#include "serve/listeners.hpp"
#include "serve/options.hpp"
#include "serve/restarts.hpp"
#include "serve/script_process.hpp"
#include "serve/voice.hpp"

namespace quicken::serve {

class Supervisor {
 public:
    /// What others are told. All are called on the loop.
    struct Events {
        std::function<void(const nlohmann::json&)> serving;  // a process serves: its message
        std::function<void(const nlohmann::json&)> said;  // words, ran, activity, busy of the current process
        std::function<void()> gone;                       // the current process has ended
        std::function<void()> changed;                    // state and the like
    };

    Supervisor(Loop& loop, const Options& options, const Launch& launch, Listeners& listeners, Voice& voice);
    void on_events(Events events) { events_ = std::move(events); }

    /// Throws Error if the script's process cannot be started.
    void start();
    /// `answer` gets an empty text once the new process serves, else why it does not.
    void reload(std::function<void(const std::string&)> answer = nullptr);
    /// As if `quit` was typed; said again SIGTERM, then SIGKILL. Killed when it is past its drain_timeout,
    /// too.
    void stop();
    /// A signal of the terminal, which the script gets; a second one is SIGTERM, a third SIGKILL. Those of
    /// both kinds are counted together.
    void interrupt();
    /// SIGQUIT, which the script gets; it ends it if it dies of it.
    void quit();
    void kill();
    void suspend(bool on);

    /// False if there is no process that serves, or it does not read.
    bool tell(const nlohmann::json& message);
    bool serves() const { return current_ != nullptr && current_->serving; }
    bool reloads() const { return successor_ != nullptr; }

    /// starting, serving, reloading, failed, draining
    std::string state() const;
    const std::string& script() const { return script_; }  // absolute, or the directory of --www
    pid_t pid() const { return current_ ? current_->pid() : 0; }
    std::uint64_t since() const { return since_; }  // microseconds since 1970, of the state of serving
    std::uint64_t reload_count() const { return reloads_; }
    const std::string& last_error() const { return last_error_; }
    const Listeners& listeners() const { return listeners_; }
    /// How the script has ended, as waitpid(2) has it, after the loop.
    int status() const { return status_; }

 private:
    using Process = std::unique_ptr<ScriptProcess>;

    Process start_process();
    void said(ScriptProcess& process, const nlohmann::json& message);
    void listen(ScriptProcess& process, const nlohmann::json& message);
    void watch(const nlohmann::json& message);
    void edited(const std::string& path, std::int64_t time);
    void watch_file(const std::string& path, std::int64_t since);
    void serving(ScriptProcess& process, const nlohmann::json& message);
    void hand_over();
    void drain(Process predecessor, int socket);
    void expect_any(const ScriptProcess& process);
    void limit(ScriptProcess& process, double seconds, const std::string& reason);
    void outdate(ScriptProcess& process);

    void mute(ScriptProcess& process);
    void ended(ScriptProcess& process, int status);
    void successor_ended(int status);
    void current_ended(int status);
    void start_again(const std::string& reason);
    void try_start();
    void failed(const std::string& reason);
    void answer(const std::string& error);
    void close_unclaimed();
    void finish(int status);
    void start_no_more();
    bool ask_to_end(ScriptProcess& process);
    void changed();

    Loop& loop_;
    const Options& options_;
    const Launch& launch_;
    Listeners& listeners_;
    Voice& voice_;
    std::string script_;
    Edits edits_;
    Events events_;
    Process current_;
    Process successor_;
    std::list<Process> leaving_;
    Restarts restarts_;
    Source next_start_;
    Echoes echoes_;
    Source heed_;  // an edit that waits
    std::vector<std::function<void(const std::string&)>> answers_;
    std::string last_error_;
    std::uint64_t since_ = 0;
    std::uint64_t reloads_ = 0;
    double longest_start_ = 0;  // seconds until one served
    unsigned generations_ = 0;
    unsigned interrupts_ = 0;
    unsigned stops_ = 0;
    unsigned quits_ = 0;
    int status_ = 0;
    bool has_served_ = false;
    bool again_ = false;
    bool ending_ = false;  // only those that drain are waited for
    bool blind_ = false;   // it was said that edits are not seen
};

}  // namespace quicken::serve
