// What looks like a launcher and is not to the byte what was written is none:
// quickenctl removes and replaces nothing else.
#include "common/launcher.hpp"

#include <cerrno>

#include "common/sys.hpp"
#include "common/text.hpp"

namespace quicken {

namespace {

using std::string_view;

/// Takes the first line's "#!PREFIX/bin/quicken --launch" off.
bool take_client(string_view& content) {
    if (!starts_with(content, "#!/")) return false;
    std::size_t end = 2;
    while (end < content.size() && content[end] != ' ' && content[end] != '\n') ++end;
    if (base_name({content.data() + 2, end - 2}) != "quicken") return false;
    content.remove_prefix(end);
    if (!starts_with(content, k_launch_option)) return false;
    content.remove_prefix(k_launch_option.size());
    return true;
}

}  // namespace

string_view original_in(string_view content) {
    if (!take_client(content) || !contains(content, '\n')) return {};
    string_view original = take_until(content, '\n');
    if (!starts_with(content, k_launcher_refusal)) return {};
    content.remove_prefix(k_launcher_refusal.size());
    if (original.empty()) {
        if (!ends_with(content, "\n")) return {};
        content.remove_suffix(1);
        original = content;
    } else {
        if (original.front() != '=' || !content.empty()) return {};
        original.remove_prefix(1);
    }
    return starts_with(original, "/") && !contains(original, '\0') ? original : string_view();
}

int read_launcher(const char* path, char (&buffer)[k_launcher_size + 1], string_view& original) {
    // O_NONBLOCK: it may have been replaced by a FIFO since the kernel looked at it.
    const int fd = sys::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return -fd;
    const long length = sys::read(fd, buffer, k_launcher_size);
    sys::close(fd);
    if (length < 0) return static_cast<int>(-length);
    original = original_in({buffer, static_cast<std::size_t>(length)});
    if (original.empty()) return ENOEXEC;
    buffer[original.data() + original.size() - buffer] = '\0';
    return 0;
}

}  // namespace quicken
