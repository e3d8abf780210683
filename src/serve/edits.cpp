#include "serve/edits.hpp"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/error.hpp"

namespace quicken::serve {

namespace {

constexpr double k_quiet = 0.2;             // seconds without an event
constexpr double k_gone = 1;                // seconds until the next look for a directory that has gone
constexpr std::size_t k_max_files = 20000;  // a program of that many modules is edited in few of them
constexpr std::uint32_t k_mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                                 IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

/// ns since the epoch; 0: it is not there. Of the inode, so that a file put in another one's place counts.
std::int64_t changed_at(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return 0;
    return status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec;
}

}  // namespace

Edits::Edits(Loop& loop, Edited edited)
    : loop_(loop), edited_(std::move(edited)), inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    if (!inotify_) throw_errno("watch", "files");
    readable_ = loop_.on_io(inotify_.get(), EPOLLIN, [this](std::uint32_t) { read_events(); });
}

Edits::Signature Edits::look(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return {};
    return {status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_size, status.st_ino};
}

bool Edits::watch(const std::string& path, std::int64_t since) {
    std::error_code lost;  // the working directory, if it has been removed
    const std::filesystem::path absolute = std::filesystem::absolute(path, lost).lexically_normal();
    if (lost) return false;
    // A link's file is edited where it is, and that is elsewhere once the link has changed.
    std::error_code missing;
    const auto meant = std::filesystem::weakly_canonical(absolute, missing);
    if (!missing && meant != absolute) watch(meant, since);
    if (files_.contains(absolute)) return true;
    if (files_.size() >= k_max_files || !watch_directory(absolute.parent_path())) return false;
    const Signature now = look(absolute);
    const bool is_edited = since > 0 && changed_at(absolute) > since;
    files_[absolute] = is_edited ? Signature{} : now;
    if (is_edited) quiet_ = loop_.after(k_quiet, [this] { compare(); });
    return true;
}

bool Edits::watch_directory(const std::string& directory) {
    const auto known = directories_.find(directory);
    if (known != directories_.end() && known->second >= 0) return true;
    const int number = inotify_add_watch(inotify_.get(), directory.c_str(), k_mask | IN_ONLYDIR);
    if (number < 0) return false;
    directories_[directory] = number;
    return true;
}

void Edits::read_events() {
    alignas(inotify_event) char buffer[16 << 10];
    ssize_t size = 0;
    bool matters = false;
    while ((size = read(inotify_.get(), buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            at += static_cast<ssize_t>(sizeof *event + event->len);
            matters = take(*event) || matters;
        }
    }
    if (matters) quiet_ = loop_.after(k_quiet, [this] { compare(); });
}

/// One that is not watched by itself. Hidden files are editors' (".#name.py").
bool Edits::take_module(const std::string& path, std::uint32_t mask) {
    const std::filesystem::path name = std::filesystem::path(path).filename();
    if (name.string().starts_with(".") || (mask & (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE)) == 0)
        return false;
    const bool is_package = (mask & IN_ISDIR) != 0 && name != "__pycache__";
    if (!is_package && name.extension() != ".py") return false;
    module_ = path;
    if (!any_) return false;
    if (is_package) watch_directory(path);
    module_changed_ = true;
    return true;
}

void Edits::watch_packages() {
    std::vector<std::string> packages;
    for (const auto& [directory, number] : directories_) {
        std::error_code lost;  // what cannot be listed has no packages
        std::filesystem::directory_iterator at(directory, lost);
        for (; !lost && at != std::filesystem::directory_iterator(); at.increment(lost)) {
            if (access((at->path() / "__init__.py").c_str(), F_OK) == 0) packages.push_back(at->path());
        }
    }
    for (const std::string& package : packages) watch_directory(package);
}

void Edits::expect_any(std::int64_t since) {
    any_ = true;
    watch_packages();
    module_changed_ = !module_.empty() && changed_at(module_) > since;
    if (module_changed_) quiet_ = loop_.after(k_quiet, [this] { compare(); });
}

/// Not with other files in the directory: with a journal or a log among them it is perhaps never quiet.
bool Edits::take(const inotify_event& event) {
    if (event.len == 0) {  // the directory itself, or events have been lost
        if ((event.mask & (IN_IGNORED | IN_MOVE_SELF)) != 0) forget(event.wd);
        return true;
    }
    std::vector<std::string> paths;  // a link is another path to the same directory
    for (const auto& [directory, number] : directories_) {
        if (number == event.wd) paths.push_back((std::filesystem::path(directory) / event.name).string());
    }
    bool matters = false;
    for (const std::string& path : paths) {
        const bool is_known = files_.contains(path) || replaced(path);
        matters = is_known || take_module(path, event.mask) || matters;
    }
    return matters;
}

/// What is at that path may be another directory now: those that were watched there are watched anew, by
/// compare(), which looks at their files after that: what happens in between is not missed.
bool Edits::replaced(const std::string& path) {
    std::vector<int> numbers;
    for (const auto& [directory, number] : directories_) {
        const bool is_there = directory == path || directory.starts_with(path + "/");
        if (is_there && number >= 0) numbers.push_back(number);
    }
    for (const int number : numbers) forget(number);
    return !numbers.empty();
}

void Edits::forget(int number) {
    inotify_rm_watch(inotify_.get(), number);  // in vain if it has gone
    for (auto& [path, each] : directories_) {
        if (each == number) each = -1;
    }
}

/// Directories that have gone may be there again, and the files in them new ones.
void Edits::compare() {
    for (const auto& [path, number] : directories_) {
        if (number < 0 && !watch_directory(path)) quiet_ = loop_.after(k_gone, [this] { compare(); });
    }
    std::string edited;
    std::int64_t time = 0;
    for (auto& [path, before] : files_) {
        const Signature now = look(path);
        if (now == before || now.size < 0) continue;
        before = now;
        edited = path;
        time = std::max(time, changed_at(path));
    }
    if (std::exchange(module_changed_, false) && edited.empty() && look(module_).size >= 0) {
        edited = module_;
        time = changed_at(module_);
    }
    if (!edited.empty()) edited_(edited, time);
}

}  // namespace quicken::serve
