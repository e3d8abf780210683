#include "common/preload_list.hpp"

#include <cerrno>

#include "common/dotted.hpp"
#include "common/sys.hpp"
#include "common/target.hpp"

namespace quicken {

namespace {

using std::string_view;

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

bool is_listed(string_view names, string_view wanted) {
    while (!names.empty()) {
        if (take_until(names, ' ') == wanted) return true;
    }
    return false;
}

bool is_absolute(const char* path) {
    return path != nullptr && *path == '/';
}

/// What does not end before `size` does not fit: -E2BIG.
long read_all(int fd, char* buffer, std::size_t size) {
    std::size_t have = 0;
    for (;;) {
        const long got = sys::read(fd, buffer + have, size - have);
        if (got == -EINTR) continue;
        if (got < 0) return got;
        if (got == 0) return static_cast<long>(have);
        have += static_cast<std::size_t>(got);
        if (have == size) return -E2BIG;
    }
}

const char* read_file(int fd, TextBuffer& names) {
    struct ::stat status {};
    if (sys::fstat(fd, status) < 0 || !S_ISREG(status.st_mode)) return "preload.conf is not a regular file";
    char content[k_max_preload_file];
    const long size = read_all(fd, content, sizeof content);
    if (size == -E2BIG) return "preload.conf is too long";
    if (size < 0) return "preload.conf cannot be read";
    return append_preloads({content, static_cast<std::size_t>(size)}, '\n', names);
}

}  // namespace

bool preload_file(char** environment, TextBuffer& path) {
    const char* place = get_environment(environment, "XDG_CONFIG_HOME");
    if (is_absolute(place)) return path.append(place).append("/quicken/preload.conf").finish();
    place = get_environment(environment, "HOME");
    return is_absolute(place) && path.append(place).append("/.config/quicken/preload.conf").finish();
}

string_view preload_name(string_view line) {
    string_view name = take_until(line, '#');
    while (!name.empty() && is_blank(name.front())) name.remove_prefix(1);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    return name;
}

const char* append_preloads(string_view text, char separator, TextBuffer& names) {
    while (!text.empty()) {
        const string_view name = preload_name(take_until(text, separator));
        if (name.empty() || is_listed(names.view(), name)) continue;
        if (!is_dotted(name)) return "what is to be preloaded is not the name of a module";
        if (!names.view().empty()) names.append(" ");
        names.append(name);
    }
    return names.finish() ? nullptr : "too much is to be preloaded";
}

const char* read_preloads(char** environment, TextBuffer& names) {
    char text[wire::k_max_name];
    TextBuffer path(text);
    if (!preload_file(environment, path)) return nullptr;
    // O_NONBLOCK: it may be a FIFO.
    const int fd = sys::open(text, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd == -ENOENT || fd == -ENOTDIR) return nullptr;
    if (fd < 0) return "preload.conf cannot be opened";
    const char* reason = read_file(fd, names);
    sys::close(fd);
    return reason;
}

}  // namespace quicken
