// Runs of one program under the same conditions, for verify: each finds the same content in its working
// directory, which is the same inode every time, has no terminal, and gets a time to end.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "ctl/tree.hpp"

namespace quicken::ctl {

struct Outcome {
    std::string ending;  // "exit status 0", "killed by SIGTERM", ...
    std::string output;
    std::string errors;
    Tree files;
    bool timed_out = false;
};

/// A signal that was sent to us: everything is to be cleaned up, then it is to be obeyed.
struct Interrupted {
    int signal;
};

class Trials {
 public:
    /// `content`: a directory, or empty. `input`: a file, or empty. Blocks the signals that end a program.
    Trials(std::filesystem::path content, const std::string& input, double timeout);
    /// Removes the directory; a signal that came meanwhile is taken then.
    ~Trials();
    Trials(const Trials&) = delete;
    Trials& operator=(const Trials&) = delete;

    /// The working directory of all runs.
    const std::filesystem::path& directory() const { return directory_; }

    /// Runs `arguments`; the first is the program's path. Throws Error if it cannot be started, Interrupted.
    Outcome run(const std::vector<std::string>& arguments);

    /// Waits; throws Interrupted.
    void pause(double seconds);

 private:
    pid_t start(const std::vector<std::string>& arguments, int output, int errors) const;
    bool wait_for(int process, double seconds);
    void end(pid_t pid, int process);
    [[noreturn]] void child(char** arguments, int output, int errors) const;

    std::filesystem::path root_;
    std::filesystem::path directory_;
    std::filesystem::path content_;
    Fd input_;
    double timeout_;
    sigset_t signals_{}, before_{};
    Fd told_;  // signalfd(2)
};

}  // namespace quicken::ctl
