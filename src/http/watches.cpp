#include "http/watches.hpp"

#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <deque>

namespace quicken::http {

namespace {

constexpr unsigned k_file_events = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF;
constexpr unsigned k_way_events = IN_MOVE_SELF | IN_DELETE_SELF;
constexpr int k_most_links = 40;             // path_resolution(7)
constexpr std::size_t k_most_ways = 20'000;  // of watches: then all begins anew

/// Its segments before those of `rest`.
void put_before(std::deque<std::string>& rest, const std::string& path) {
    std::deque<std::string> segments;
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string segment = path.substr(begin, end - begin);
        if (!segment.empty() && segment != ".") segments.push_back(segment);
        begin = end + 1;
    }
    rest.insert(rest.begin(), segments.begin(), segments.end());
}

/// Empty: none, or it is too long.
std::string link_text(const std::string& path) {
    char text[PATH_MAX];
    const ssize_t size = readlink(path.c_str(), text, sizeof text);
    return size > 0 && static_cast<std::size_t>(size) < sizeof text
               ? std::string(text, static_cast<std::size_t>(size))
               : std::string();
}

}  // namespace

void Watches::reset() {
    ways_.clear();
    inotify_.reset();
}

bool Watches::add_way(const std::string& path, unsigned mask) {
    if (ways_.size() >= k_most_ways) return false;
    const int watch = inotify_add_watch(inotify_.get(), path.c_str(), mask | IN_DONT_FOLLOW);
    if (watch >= 0) ways_.insert(watch);
    return watch >= 0;
}

// Each is watched before it is looked at (the link's text, the next segment): what
// changes between shows as an event.
Watches::Watched Watches::add(const std::string& file) {
    if (!inotify_) inotify_.reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify_ || file.size() >= PATH_MAX) return {};
    std::deque<std::string> rest;
    put_before(rest, file);
    std::string way;
    int links = 0;
    while (!rest.empty()) {
        const std::string segment = rest.front();
        rest.pop_front();
        if (segment == "..") {
            way.resize(way.empty() ? 0 : way.rfind('/'));
            continue;
        }
        const std::string path = way + "/" + segment;
        struct stat status {};
        if (lstat(path.c_str(), &status) != 0) return {};
        if (S_ISDIR(status.st_mode)) {
            if (!add_way(path, k_way_events | IN_ONLYDIR)) return {};
            way = path;
        } else if (S_ISLNK(status.st_mode)) {
            if (++links > k_most_links || !add_way(path, k_way_events | IN_ATTRIB)) return {};
            const std::string text = link_text(path);
            if (text.empty()) return {};
            if (text.front() == '/') way.clear();
            put_before(rest, text);
        } else {
            if (!rest.empty() || !S_ISREG(status.st_mode)) return {};
            return {inotify_add_watch(inotify_.get(), path.c_str(), k_file_events | IN_DONT_FOLLOW), path};
        }
    }
    return {};
}

void Watches::remove(int watch) {
    inotify_rm_watch(inotify_.get(), watch);  // may be gone already, with its file
}

bool Watches::read(std::vector<int>& changed) {
    alignas(inotify_event) char buffer[4096];
    if (!inotify_) return true;
    bool sure = ways_.size() < k_most_ways;
    for (;;) {
        const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) break;
        for (const char* at = buffer; at < buffer + size;) {
            inotify_event event{};
            std::memcpy(&event, at, sizeof event);
            at += sizeof event + event.len;
            if ((event.mask & IN_Q_OVERFLOW) != 0 || ways_.contains(event.wd)) sure = false;
            changed.push_back(event.wd);
        }
        // It takes another call to know that nothing more is there, unless there was room for more.
        if (sizeof buffer - static_cast<std::size_t>(size) > sizeof(inotify_event) + NAME_MAX + 1) break;
    }
    return sure;
}

}  // namespace quicken::http
