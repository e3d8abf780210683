#include "trace.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <iterator>
#include <memory>

#include "common/error.hpp"
#include "common/text.hpp"

namespace quicken::server {

namespace {

[[noreturn]] void malformed(std::string_view what) {
    throw Error(fmt::format("the template's trace is malformed: {}", what));
}

std::string content_of(const Fd& memory) {
    struct stat status {};
    if (fstat(memory.get(), &status) != 0) throw_errno("read", "the template's trace");
    if (!S_ISREG(status.st_mode)) malformed("it is not in memory");
    if (static_cast<std::uint64_t>(status.st_size) > trace::k_max_trace) malformed("it is too large");
    std::string content(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t done = 0;
    while (done < content.size()) {
        const ssize_t got =
            pread(memory.get(), content.data() + done, content.size() - done, static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw_errno("read", "the template's trace");
        if (got == 0) malformed("it became shorter");
        done += static_cast<std::size_t>(got);
    }
    return content;
}

std::string checked_path(std::string_view path) {
    if (path.empty() || path.front() != '/') malformed("a path is not absolute");
    if (path.size() >= PATH_MAX) malformed("a path is too long");
    if (contains(path, '\0')) malformed("a path has a NUL");
    return std::string(path);
}

/// Names are separated by blanks where they are listed.
std::string checked_module(std::string_view name) {
    const auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
    if (name.empty() || std::any_of(name.begin(), name.end(), is_blank)) malformed("a module has no name");
    return std::string(name);
}

RefusedModule refused_of(std::string_view text) {
    if (std::count(text.begin(), text.end(), '\0') != 2) malformed("a refused module has not two NULs");
    RefusedModule refused;
    refused.name = checked_module(take_until(text, '\0'));
    refused.reason = take_until(text, '\0');
    refused.file = text.empty() ? std::string() : checked_path(text);
    return refused;
}

/// Another process finds something else there, and nothing that it finds is a file's content.
bool is_kernels_own(std::string_view path) {
    return starts_with(path, "/proc/") || starts_with(path, "/sys/");
}

TracedDirectory directory_of(std::string_view text) {
    if (std::count(text.begin(), text.end(), '\0') != 2) malformed("a directory has not two NULs");
    TracedDirectory directory;
    directory.path = checked_path(take_until(text, '\0'));
    std::string_view asked = take_until(text, '\0');
    directory.all = asked == "*";
    while (!asked.empty()) directory.stems.emplace(take_until(asked, '/'));
    directory.found = text;
    return directory;
}

std::vector<std::string> split(std::string_view names) {
    std::vector<std::string> found;
    while (!names.empty()) found.emplace_back(take_until(names, '/'));
    return found;
}

/// A directory that cannot be read has no entries.
std::vector<std::string> entries_of(const TracedDirectory& directory) {
    std::vector<std::string> found;
    const std::unique_ptr<DIR, decltype([](DIR* open) { closedir(open); })> stream(
        opendir(directory.path.c_str()));
    if (!stream) return found;
    while (const dirent* entry = readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        if (directory.all || directory.stems.contains(stem_of(name))) found.emplace_back(name);
    }
    std::sort(found.begin(), found.end());
    return found;
}

trace::Identity identity_of(const std::string& path, bool itself) {
    struct stat status {};
    if (fstatat(AT_FDCWD, path.c_str(), &status, itself ? AT_SYMLINK_NOFOLLOW : 0) != 0) return {};
    return trace::counted_identity(status);
}

std::optional<std::string> difference(const TracedFile& file) {
    const trace::Identity now = identity_of(file.path, file.itself);
    if (now == file.identity) return std::nullopt;
    const trace::Identity nothing{};
    return fmt::format("{} {}", file.path,
                       file.identity == nothing ? "is new"
                       : now == nothing         ? "is gone"
                                                : "has changed");
}

std::optional<std::string> difference(const TracedDirectory& directory) {
    const std::vector<std::string> then = split(directory.found);
    const std::vector<std::string> now = entries_of(directory);
    if (then == now) return std::nullopt;
    std::vector<std::string> others;
    std::set_difference(now.begin(), now.end(), then.begin(), then.end(), std::back_inserter(others));
    if (!others.empty()) return fmt::format("{}/{} is new", directory.path, others.front());
    std::set_difference(then.begin(), then.end(), now.begin(), now.end(), std::back_inserter(others));
    return fmt::format("{}/{} is gone", directory.path, others.empty() ? "" : others.front());
}

}  // namespace

trace::Identity identity_of(const std::string& path) {
    return identity_of(path, false);
}

std::string_view stem_of(std::string_view entry) {
    return entry.substr(0, entry.find('.'));
}

Trace Trace::read(const Fd& memory) {
    return parse(content_of(memory));
}

Trace Trace::parse(std::string_view records) {
    if (records.size() > trace::k_max_trace) malformed("it is too large");
    Trace trace;
    trace.records_ = records;
    while (!records.empty()) {
        trace::Header header{};
        if (records.size() < sizeof header) malformed("it ends within a record");
        std::memcpy(&header, records.data(), sizeof header);
        records.remove_prefix(sizeof header);
        if (header.length > trace::k_max_text) malformed("a record is too long");
        if (header.length > records.size()) malformed("it ends within a record");
        const std::string_view text = records.substr(0, header.length);
        records.remove_prefix(header.length);
        switch (header.kind) {
            case trace::Kind::file:
                trace.add(checked_path(text), header.identity);
                break;
            case trace::Kind::entry:
                trace.add(checked_path(text), header.identity, true);
                break;
            case trace::Kind::directory:
                trace.directories_.push_back(directory_of(text));
                break;
            default:
                trace.keep(header.kind, text);
        }
    }
    return trace;
}

void Trace::keep(trace::Kind kind, std::string_view text) {
    switch (kind) {
        case trace::Kind::variable:
            rest_.variables.emplace_back(text);
            break;
        case trace::Kind::everything:
            rest_.everything = true;
            break;
        case trace::Kind::terminal:
            rest_.terminal = text;
            break;
        case trace::Kind::size:
            rest_.size = text;
            break;
        case trace::Kind::cwd:
            rest_.cwd = text;
            break;
        case trace::Kind::name:
            rest_.name = text;
            break;
        case trace::Kind::module:
            rest_.modules.push_back(checked_module(text));
            break;
        case trace::Kind::refused:
            rest_.refused.push_back(refused_of(text));
            break;
        case trace::Kind::report:
            rest_.report = text;
            break;
        default:
            malformed("a record is of no known kind");
    }
}

void Trace::add(const std::string& path, const trace::Identity& identity, bool itself) {
    if (is_kernels_own(path)) return;
    files_.push_back({path, identity, itself});
}

void Trace::add(const Trace& other) {
    files_.insert(files_.end(), other.files_.begin(), other.files_.end());
    directories_.insert(directories_.end(), other.directories_.begin(), other.directories_.end());
}

std::optional<std::string> Trace::difference() const {
    for (const TracedFile& file : files_) {
        if (auto found = server::difference(file)) return found;
    }
    for (const TracedDirectory& directory : directories_) {
        if (auto found = server::difference(directory)) return found;
    }
    return std::nullopt;
}

}  // namespace quicken::server
