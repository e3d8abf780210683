#include "ctl/trial.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "common/error.hpp"

namespace quicken::ctl {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double k_grace = 2;  // s after TERM, then KILL

Fd empty_file(const fs::path& path) {
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) {
        throw_errno("make", path.string());
    }
    return file;
}

std::string content_of(const Fd& file) {
    std::string content;
    std::array<char, 65536> block{};
    for (ssize_t got = 0;
         (got = ::pread(file.get(), block.data(), block.size(), static_cast<off_t>(content.size()))) > 0;) {
        content.append(block.data(), static_cast<std::size_t>(got));
    }
    return content;
}

std::string describe_ending(int status) {
    if (WIFEXITED(status)) {
        return fmt::format("exit status {}", WEXITSTATUS(status));
    }
    const int number = WTERMSIG(status);
    const char* name = ::sigabbrev_np(number);
    return name != nullptr ? fmt::format("killed by SIG{}", name)
                           : fmt::format("killed by signal {}", number);
}

fs::path make_root() {
    std::string name = (fs::temp_directory_path() / "quicken-verify.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw_errno("make", name);
    }
    return name;
}

}  // namespace

Trials::Trials(fs::path content, const std::string& input, double timeout)
    : content_(std::move(content)),
      input_(::open(input.empty() ? "/dev/null" : input.c_str(), O_RDONLY | O_CLOEXEC)),
      timeout_(timeout) {
    if (!input_) {
        throw_errno("open", input);
    }
    ::sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        ::sigaddset(&signals_, signal);
    }
    ::sigprocmask(SIG_BLOCK, &signals_, &before_);
    told_ = Fd(::signalfd(-1, &signals_, SFD_CLOEXEC));
    root_ = make_root();
    directory_ = root_ / "work";
    fs::create_directory(directory_);
}

Trials::~Trials() {
    try {
        clear(directory_);
        fs::remove_all(root_);
    } catch (const std::exception& error) {
        fmt::print(stderr, "remove {}: {}\n", root_.string(), error.what());
    }
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

/// Between fork and exec: nothing is allocated.
void Trials::child(char** arguments, int output, int errors) const {
    ::setsid();
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    const bool ready = ::chdir(directory_.c_str()) == 0 && ::dup2(input_.get(), 0) == 0 &&
                       ::dup2(output, 1) == 1 && ::dup2(errors, 2) == 2;
    if (ready) {
        ::execv(arguments[0], arguments);
    }
    ::_exit(127);
}

pid_t Trials::start(const std::vector<std::string>& arguments, int output, int errors) const {
    if (::access(arguments[0].c_str(), X_OK) != 0) {
        throw_errno("run", arguments[0]);
    }
    std::vector<char*> pointers;
    for (const std::string& argument : arguments) {
        pointers.push_back(const_cast<char*>(argument.c_str()));  // execv(3) does not write to them
    }
    pointers.push_back(nullptr);
    ::lseek(input_.get(), 0, SEEK_SET);  // the offset is shared; of what has none there is but one reading
    const pid_t pid = ::fork();
    if (pid == 0) {
        child(pointers.data(), output, errors);
    }
    if (pid < 0) {
        throw_errno("start", arguments[0]);
    }
    return pid;
}

/// False when the time is over.
bool Trials::wait_for(int process, double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
        if (left <= 0) {
            return false;
        }
        std::array<pollfd, 2> polled{{{process, POLLIN, 0}, {told_.get(), POLLIN, 0}}};
        ::poll(polled.data(), polled.size(), static_cast<int>(std::min<std::int64_t>(left, 1'000'000)));
        if (polled[1].revents != 0) {
            signalfd_siginfo info{};
            [[maybe_unused]] const ssize_t got = ::read(told_.get(), &info, sizeof info);
            throw Interrupted{static_cast<int>(info.ssi_signo)};
        }
        if (polled[0].revents != 0) {
            return true;
        }
    }
}

void Trials::pause(double seconds) {
    wait_for(-1, seconds);
}

void Trials::end(pid_t pid, int process) {
    ::kill(-pid, SIGTERM);
    pollfd polled{process, POLLIN, 0};
    ::poll(&polled, 1, static_cast<int>(k_grace * 1000));
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

Outcome Trials::run(const std::vector<std::string>& arguments) {
    clear(directory_);
    if (!content_.empty()) {
        copy_content(content_, directory_);
    }
    const Fd output = empty_file(root_ / "output"), errors = empty_file(root_ / "errors");
    const pid_t pid = start(arguments, output.get(), errors.get());
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    Outcome outcome;
    try {
        outcome.timed_out = !wait_for(process.get(), timeout_);
    } catch (const Interrupted&) {
        end(pid, process.get());
        throw;
    }
    if (outcome.timed_out) {
        end(pid, process.get());
        outcome.ending = fmt::format("ended by verify after {:g} s", timeout_);
    } else {
        int status = 0;
        ::waitpid(pid, &status, 0);
        outcome.ending = describe_ending(status);
    }
    outcome.output = content_of(output);
    outcome.errors = content_of(errors);
    outcome.files = read_tree(directory_);
    return outcome;
}

}  // namespace quicken::ctl
