// A trace (common/trace.hpp) in the supervisor's hands: checked, and compared
// with what is there now.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.hpp"
#include "common/trace.hpp"

namespace quicken::server {

/// What stat(2) tells now, all 0 if it finds nothing.
trace::Identity identity_of(const std::string& path);

/// Up to its first '.'.
std::string_view stem_of(std::string_view entry);

struct TracedFile {
    std::string path;
    trace::Identity identity;
};

struct TracedDirectory {
    std::string path;
    std::set<std::string, std::less<>> stems;  // of the entries that were asked for
    bool all = false;                          // every entry was
    std::string found;                         // sorted, separated by '/'
};

/// A module that was to be imported in advance and cannot be.
struct RefusedModule {
    std::string name;
    std::string reason;
    std::string file;  // on which that depends, or ""
};

class Trace {
 public:
    Trace() = default;
    /// Reads a memfd. Throws Error if that is not a trace.
    static Trace read(const Fd& memory);
    /// The same from its content.
    static Trace parse(std::string_view records);

    void add(const std::string& path, const trace::Identity& identity);
    /// What is not any more as the trace says it was, in words; nothing if all is. The first of several.
    std::optional<std::string> difference() const;

    const std::vector<TracedFile>& files() const { return files_; }
    const std::vector<TracedDirectory>& directories() const { return directories_; }
    /// What the next template may import in advance.
    const std::vector<std::string>& modules() const { return modules_; }
    const std::vector<RefusedModule>& refused() const { return refused_; }

 private:
    std::vector<TracedFile> files_;
    std::vector<TracedDirectory> directories_;
    std::vector<std::string> modules_;
    std::vector<RefusedModule> refused_;
};

}  // namespace quicken::server
