#include "serve/supervisor.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "common/error.hpp"
#include "common/serve_bus.hpp"
#include "serve/protocol.hpp"

namespace quicken::serve {

namespace {

using nlohmann::json;

constexpr double k_margin = 5;    // seconds beyond the time in which a process ends by itself
constexpr double k_outdated = 5;  // seconds at least for a start that is outdated
constexpr double k_mute = 1;      // seconds that a process has for its end once its control socket is closed
constexpr unsigned k_hard = 3;    // requests to end, by whatever signals, until it is killed

std::uint64_t microseconds() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(
        duration_cast<std::chrono::microseconds>(system_clock::now().time_since_epoch()).count());
}

/// ns since the epoch, as files have their times.
std::int64_t file_clock() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::string time_of_day(std::time_t moment) {
    std::tm local{};
    return localtime_r(&moment, &local) != nullptr ? fmt::format("{:%H:%M:%S}", local) : "";
}

std::string action_of(const json& message) {
    const auto found = message.find("do");
    return found != message.end() && found->is_string() ? found->get<std::string>() : "";
}

bool wants_restart(int status) {
    return WIFEXITED(status) && WEXITSTATUS(status) == k_restart_status;
}

}  // namespace

Supervisor::Supervisor(Loop& loop, const Options& options, const Launch& launch, Listeners& listeners,
                       Voice& voice)
    : loop_(loop),
      options_(options),
      launch_(launch),
      listeners_(listeners),
      voice_(voice),
      script_(serve_bus::absolute_name(options.www.empty() ? options.script : options.www)),
      edits_(loop, [this](const std::string& path, std::int64_t time) { edited(path, time); }) {}

std::string Supervisor::state() const {
    if (stops_ > 0 || ending_) return "draining";
    if (successor_) return "reloading";
    if (!current_) return "failed";
    return current_->serving ? "serving" : "starting";
}

void Supervisor::changed() {
    if (events_.changed) events_.changed();
}

// Starting

void Supervisor::start() {
    current_ = start_process();
}

Supervisor::Process Supervisor::start_process() {
    const std::int64_t since = file_clock();
    if (options_.www.empty()) watch_file(script_, 0);  // before it is read; a link may lead elsewhere now
    auto process = std::make_unique<ScriptProcess>(
        loop_, launch_, ++generations_,
        ScriptProcess::Events{[this](ScriptProcess& from, const json& message) { said(from, message); },
                              [this](ScriptProcess& from) { mute(from); },
                              [this](ScriptProcess& from, int status) { ended(from, status); }});
    process->since = since;
    process->drain_timeout = options_.drain_timeout;
    heed_.reset();
    echoes_.begun();
    return process;
}

/// Whichever of several that come until a start begins is heeded first, that start has read them all.
void Supervisor::edited(const std::string& path, std::int64_t time) {
    voice_.say("{} has changed", path);
    const double pause = echoes_.pause(time);
    if (pause <= 0) return reload();
    if (heed_) return;
    if (echoes_.is_first())
        voice_.say("it is edited at each start, perhaps by the script: the next ones wait, up to 30 s");
    heed_ = loop_.after(pause, [this] {
        heed_.reset();
        reload();
    });
}

void Supervisor::watch_file(const std::string& path, std::int64_t since) {
    if (!options_.reload || edits_.watch(path, since) || blind_) return;
    blind_ = true;
    voice_.say("{} cannot be watched; type restart after an edit", path);
}

/// It may have failed for a file that nobody has named.
void Supervisor::expect_any(const ScriptProcess& process) {
    if (options_.reload) edits_.expect_any(process.since);
}

void Supervisor::limit(ScriptProcess& process, double seconds, const std::string& reason) {
    process.limit = loop_.after(seconds, [&process, reason] {
        process.killed_for = reason;
        process.signal(SIGKILL);
    });
}

void Supervisor::reload(std::function<void(const std::string&)> answer_to) {
    if (answer_to) answers_.push_back(std::move(answer_to));
    if (stops_ > 0 || ending_) return answer("it is being stopped");
    if (successor_ || (current_ && !current_->serving)) {
        again_ = true;
        if (successor_) outdate(*successor_);
        return;
    }
    if (!current_) return try_start();
    try {
        successor_ = start_process();
    } catch (const Error& error) {
        return failed(error.what());
    }
    limit(*successor_, options_.start_timeout,
          fmt::format("did not serve within {:g} seconds", options_.start_timeout));
    changed();
}

/// Something newer than what it has read is to be served.
void Supervisor::outdate(ScriptProcess& process) {
    const double seconds = std::max(k_outdated, 2 * longest_start_);
    if (std::exchange(process.outdated, true) || process.age() + seconds > options_.start_timeout) return;
    limit(process, seconds, fmt::format("did not serve within {:.0f} seconds of the next edit", seconds));
}

// What a process says

void Supervisor::said(ScriptProcess& process, const json& message) {
    const std::string action = action_of(message);
    if (action == "listen") return listen(process, message);
    if (action == "watch") return watch(message);
    if (action == "serving") return serving(process, message);
    if (action == "leaving") {
        process.leaving = true;
        return;
    }
    if (&process != current_.get()) {
        // A command of the prompt may end in a process that drains.
        if (action == "ran" && events_.said) events_.said(message);
        if (action == "busy" && process.draining && stops_ == 0 && !ending_)
            limit(process, process.drain_timeout + k_margin, "did not drain");
        return;
    }
    if (action == "restart") return reload();
    if (events_.said) events_.said(message);
}

void Supervisor::listen(ScriptProcess& process, const json& message) {
    if (!message.value("address", json("")).is_string() ||
        !message.value("port", json(0)).is_number_integer()) {
        process.tell({{"do", "listening"}, {"errno", EINVAL}, {"error", errno_text(EINVAL)}});
        return;
    }
    const std::string address = message.value("address", "");
    const int port = message.value("port", 0);
    const int repetition = process.claims[{address, port}]++;
    try {
        const auto found =
            listeners_.find(process.generation(), process.claimed++, address, port, repetition);
        process.tell({{"do", "listening"}, {"port", found.port}, {"fd", true}}, found.fd);
    } catch (const Error& error) {
        process.tell({{"do", "listening"}, {"errno", error.code()}, {"error", errno_text(error.code())}});
    }
}

void Supervisor::watch(const json& message) {
    const auto files = message.find("files");
    if (files == message.end() || !files->is_array()) return;
    const json since = message.value("since", json(0));
    if (!since.is_number_integer()) return;
    for (const json& file : *files) {
        if (file.is_string()) watch_file(file.get<std::string>(), since.get<std::int64_t>());
    }
}

void Supervisor::serving(ScriptProcess& process, const json& message) {
    if (process.serving || process.draining) return;
    process.serving = true;
    longest_start_ = std::max(longest_start_, process.age());
    echoes_.over(file_clock());
    edits_.expect_known();
    process.limit.reset();
    process.drain_timeout = message.value("drain_timeout", options_.drain_timeout);
    if (&process == successor_.get()) {
        hand_over();
        ++reloads_;
        voice_.say("serving the version of {}", time_of_day(process.started()));
    }
    has_served_ = true;
    interrupts_ = 0;
    last_error_.clear();
    since_ = microseconds();
    close_unclaimed();
    if (stops_ > 0) {  // told before it could hear it
        ask_to_end(process);
        return;
    }
    if (events_.serving) events_.serving(message);
    answer("");
    changed();
    if (std::exchange(again_, false)) reload();
}

/// First the successor learns where connections will come from, then the predecessor where they go.
void Supervisor::hand_over() {
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        voice_.say("make a socket pair: {}; connections that are idle are closed", errno_text(errno));
    const Fd from(ends[0]);
    const Fd to(ends[1]);
    if (from) successor_->tell({{"do", "adopt"}}, from.get());
    Process predecessor = std::exchange(current_, std::move(successor_));
    if (predecessor) drain(std::move(predecessor), to.get());
}

/// One that cannot be told, as it does not read, would accept for ever.
void Supervisor::drain(Process predecessor, int socket) {
    ScriptProcess& process = *predecessor;
    process.draining = true;
    leaving_.push_back(std::move(predecessor));
    if (!process.tell({{"do", "drain"}}, socket)) process.signal(SIGKILL);
    limit(process, process.drain_timeout + k_margin, "did not drain");
}

// How a process ends

/// One that has closed all of its descriptors, or has become another program, will never serve again.
void Supervisor::mute(ScriptProcess& process) {
    const bool ends = process.leaving || process.draining || stops_ > 0 || interrupts_ > 0;
    if (!process.serving || ends) return;
    limit(process, k_mute, "has closed descriptors that are the server's, and was killed");
}

void Supervisor::ended(ScriptProcess& process, int status) {
    if (&process == successor_.get()) return successor_ended(status);
    if (&process == current_.get()) return current_ended(status);
    leaving_.remove_if([&](const Process& one) { return one.get() == &process; });
    close_unclaimed();
    if (ending_) finish(status_);
}

void Supervisor::successor_ended(int status) {
    const Process process = std::move(successor_);
    close_unclaimed();
    if (stops_ > 0 || ending_) return finish(status_);
    if (wants_restart(status)) again_ = true;
    expect_any(*process);
    failed(process->killed_for.empty() ? ending_text(status) + " before it served" : process->killed_for);
}

/// A successor is not to be had; what served does so still.
void Supervisor::failed(const std::string& reason) {
    echoes_.over(file_clock());
    last_error_ = "the new process " + reason;
    voice_.say("{}; still serving the version of {}", last_error_,
               current_ ? time_of_day(current_->started()) : "");
    answer(last_error_);
    changed();
    if (std::exchange(again_, false)) {
        next_start_ = loop_.after(restarts_.pause(Restarts::Time::clock::now()), [this] { reload(); });
    }
}

void Supervisor::current_ended(int status) {
    const Process process = std::move(current_);
    if (events_.gone) events_.gone();
    if (!process->serving) {
        echoes_.over(file_clock());
        expect_any(*process);
    }
    const bool restarts = wants_restart(status) && stops_ == 0;
    const bool quit = quits_ > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT;
    const bool meant = process->leaving || stops_ > 0 || interrupts_ > 0 || quit;
    if (!restarts && (meant || (!has_served_ && !again_))) return finish(status);
    if (restarts || !process->serving) again_ = false;
    const std::string reason = process->killed_for.empty() ? ending_text(status) : process->killed_for;
    if (!restarts && !process->serving && !successor_) answer("the script's process " + reason);
    start_again(restarts ? "" : reason);
}

/// `reason` is empty if the process has wished so.
void Supervisor::start_again(const std::string& reason) {
    if (successor_) {  // which need not hurry any more
        current_ = std::move(successor_);
        current_->limit.reset();
    }
    if (!reason.empty()) last_error_ = "the script's process " + reason;
    if (current_) {
        if (!reason.empty()) voice_.say("{}; the new one takes its place", last_error_);
        return changed();
    }
    const double pause = restarts_.pause(Restarts::Time::clock::now());
    const std::string when = pause > 0 ? fmt::format("in {:g} s", pause) : "now";
    if (!reason.empty() || pause > 0)
        voice_.say("{}; started again {}", reason.empty() ? "asked for too often" : last_error_, when);
    changed();
    if (pause <= 0) return try_start();
    next_start_ = loop_.after(pause, [this] { try_start(); });
}

void Supervisor::try_start() {
    next_start_.reset();
    if (current_) return;
    try {
        current_ = start_process();
    } catch (const Error& error) {
        last_error_ = error.what();
        voice_.say("{}", last_error_);
        answer(last_error_);
        next_start_ = loop_.after(restarts_.pause(Restarts::Time::clock::now()), [this] { try_start(); });
    }
    changed();
}

void Supervisor::answer(const std::string& error) {
    for (const auto& one : std::exchange(answers_, {})) one(error);
}

void Supervisor::close_unclaimed() {
    if (!current_) return;  // what dies may have died of its socket: the next one asks for it again
    std::set<unsigned> living{current_->generation()};
    if (successor_) living.insert(successor_->generation());
    for (const Process& process : leaving_) living.insert(process->generation());
    // One that is started in the place of a dead one has not asked for all of its sockets yet.
    if (current_->serving) listeners_.keep_only(living);
}

/// Those that drain do so to their end, which is limited.
void Supervisor::finish(int status) {
    ending_ = true;
    status_ = status;
    start_no_more();
    for (const Process& process : leaving_) process->tell({{"do", "stop"}});
    if (leaving_.empty() && !current_) loop_.exit(0);
    answer("it has ended");
    changed();
}

// Ending it

bool Supervisor::tell(const json& message) {
    return serves() && current_->tell(message);
}

void Supervisor::start_no_more() {
    successor_.reset();
    next_start_.reset();
    heed_.reset();
}

/// False if it cannot be asked but by a signal. Whatever it does then, it is killed in the end.
bool Supervisor::ask_to_end(ScriptProcess& process) {
    limit(process, process.drain_timeout + k_margin, "did not stop");
    return process.serving && process.tell({{"do", "stop"}});
}

/// First it is made to end, then others are told so: what fails with them is not to keep it alive.
void Supervisor::stop() {
    ++stops_;
    if (stops_ + interrupts_ >= k_hard) return kill();
    start_no_more();
    if (!current_) return finish(status_);
    for (const Process& process : leaving_) process->tell({{"do", "stop"}});
    if (!ask_to_end(*current_) || stops_ > 1) current_->signal(SIGTERM);
    answer("it is being stopped");
    changed();
}

/// The first one is between the terminal and the script, which may go on.
void Supervisor::interrupt() {
    ++interrupts_;
    if (stops_ + interrupts_ >= k_hard) return kill();
    start_no_more();
    if (!current_) return finish(status_);
    if (interrupts_ == 1 && stops_ == 0) return current_->signal(SIGINT);
    limit(*current_, current_->drain_timeout + k_margin, "did not stop");
    current_->signal(SIGTERM);
}

/// It may only show what it does (faulthandler), and go on.
void Supervisor::quit() {
    if (!current_) return kill();
    ++quits_;
    current_->signal(SIGQUIT);
}

void Supervisor::kill() {
    ++stops_;
    start_no_more();
    for (const Process& process : leaving_) process->signal(SIGKILL);
    if (!current_) return finish(status_);
    current_->signal(SIGKILL);
    changed();
}

void Supervisor::suspend(bool on) {
    if (current_) current_->suspend(on);
    if (successor_) successor_->suspend(on);
    for (const Process& process : leaving_) process->suspend(on);
}

}  // namespace quicken::serve
