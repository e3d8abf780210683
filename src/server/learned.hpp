// What commands of a program import late: the file that they note it in, and
// what of it the next template is to import in advance.
//
// `$XDG_STATE_HOME/quicken/learn/INSTANCE` (of the first client's environment; default ~/.local/state): there
// as long as learning is on, made and removed by `quickenctl learn`. Lines:
//   quicken-learn 1             the first
//   learned COUNT NAME...       what templates import; commands counted since this list was begun
//   never NAME TAB S TAB NS TAB SIZE TAB FILE TAB REASON
//                               not to be imported in advance while FILE is so old and so large
//   ran NAME...                 a command, counted: what it imported after the fork point
//   run NAME...                 the same, not counted yet; or
//   run *                       it had at its end changed what imports depend on
// Commands append `run` lines, best effort (src/interp/learning.py); the server rewrites the file when it
// makes a template. A line that is not understood is left out.
//
// Learned is what most of the last 20 commands, of at least 3, imported late. A module that is imported in
// advance is not late any more, so whether it is still used cannot be seen: after 200 commands all are
// forgotten and learned anew. Nothing is learned while one of the 20 had changed what imports depend on.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "trace.hpp"

namespace quicken::server {

class Learned {
 public:
    Learned() = default;
    /// Of the file at `path`; "" or no file: learning is off.
    explicit Learned(std::string path) : path_(std::move(path)) {}

    /// Reads the file, brings the list up to date and writes it back. What cannot be written is learned
    /// again.
    void update();
    /// Remembers that these are not to be imported in advance, and writes the file.
    void refuse(const std::vector<RefusedModule>& refused);

    bool on() const { return on_; }
    const std::string& path() const { return path_; }
    /// To be imported in advance, in this order. Empty if learning is off.
    const std::vector<std::string>& modules() const { return learned_; }

 private:
    struct Never {
        std::string name, file, reason;
        std::int64_t seconds = 0, nanoseconds = 0;
        std::uint64_t size = 0;
    };
    using Run = std::vector<std::string>;

    void read(std::string_view text);
    void read_line(std::string_view line);
    void read_never(std::string_view text);
    void add_run(std::string_view names);
    void learn();
    bool is_refused(std::string_view name) const;
    bool write() const;

    std::string path_;
    bool on_ = false;
    std::uint64_t count_ = 0;
    std::vector<std::string> learned_;
    std::vector<Never> never_;
    std::deque<Run> runs_;
};

}  // namespace quicken::server
