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

/// What counts of it now, all 0 if there is nothing.
trace::Identity identity_of(const std::string& path);

/// Up to its first '.'.
std::string_view stem_of(std::string_view entry);

struct TracedFile {
    std::string path;
    trace::Identity identity;
    bool itself = false;  // links are not followed
};

using Stems = std::set<std::string, std::less<>>;

struct TracedDirectory {
    std::string path;
    Stems stems;        // of the entries that were asked for
    bool all = false;   // every entry was
    std::string found;  // sorted, separated by '/'
};

/// A module that was to be imported in advance and cannot be.
struct RefusedModule {
    std::string name;
    std::string reason;
    std::string file;  // on which that depends, or ""
};

/// What is no file and no directory: the client's, and what is told for people.
struct TracedRest {
    std::vector<std::string> variables;  // NAME=VALUE, or NAME if it was not set
    bool everything = false;             // the whole environment counts
    std::string terminal, size, cwd, name;
    std::vector<std::string> modules;  // that the next template may import in advance
    std::vector<RefusedModule> refused;
    std::string report;
};

class Trace {
 public:
    Trace() = default;
    /// Reads a memfd. Throws Error if that is not a trace.
    static Trace read(const Fd& memory);
    /// The same from its content.
    static Trace parse(std::string_view records);

    void add(const std::string& path, const trace::Identity& identity, bool itself = false);
    /// What is not any more as the trace says it was, in words; nothing if all is. The first of several.
    std::optional<std::string> difference() const;

    /// Also what the other one has.
    void add(const Trace& other);

    /// What it was made from.
    const std::string& records() const { return records_; }
    const std::vector<TracedFile>& files() const { return files_; }
    const std::vector<TracedDirectory>& directories() const { return directories_; }
    const TracedRest& rest() const { return rest_; }

 private:
    void keep(trace::Kind kind, std::string_view text);

    std::string records_;
    std::vector<TracedFile> files_;
    std::vector<TracedDirectory> directories_;
    TracedRest rest_;
};

}  // namespace quicken::server
