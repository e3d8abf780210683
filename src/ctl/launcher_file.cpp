// What must not happen, whoever else is at work in the directory:
//
// - Something that is not ours is overwritten. A launcher gets its name by
//   link(2), which fails where anything has that name: a file, a directory, a
//   link, also one that leads nowhere. No file is ever opened for writing but
//   one that we have just made under a name of its own (O_EXCL).
// - Something that is not ours is removed. Between the look at a file and
//   unlink(2) another can take its place. So the file is first renamed to a
//   name that is ours, looked at there, where nobody else comes, and removed if
//   it is a launcher of that original; otherwise it gets its name back, by
//   link(2) again. If that has been taken meanwhile both are left, and the
//   message says where.
// - One of several that make the same launcher fails. Who finds the name taken
//   looks at what has it, once: a launcher like its own is what it wanted; one
//   of another installation is taken away; nothing means that somebody else has
//   just taken it away. Then it tries again. It finds the name taken again only
//   if another has got it meanwhile, and each gets it once and ends: so all end.
// - A launcher is seen in parts. It is complete, executable and closed
//   (ETXTBSY) before it gets its name.
// - A name of ours is left behind. Signals wait meanwhile; only KILL can leave
//   a file `.quicken-XXXXXX`, and the name of a launcher that is replaced by
//   one of another installation is free for a moment.
#include "ctl/launcher_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "common/launcher.hpp"
#include "ctl/original.hpp"

namespace quicken::ctl {
namespace {

namespace fs = std::filesystem;

class SignalsWait {
 public:
    SignalsWait() {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    }
    SignalsWait(const SignalsWait&) = delete;
    SignalsWait& operator=(const SignalsWait&) = delete;
    ~SignalsWait() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
    sigset_t before_{};
};

/// A file of our own in a directory, removed at the end.
class OwnFile {
 public:
    explicit OwnFile(const std::string& directory) : path_(directory + "/.quicken-XXXXXX") {
        file_ = Fd(::mkostemp(path_.data(), O_CLOEXEC));
        if (!file_) throw_errno("make a file in", directory);
    }
    OwnFile(const OwnFile&) = delete;
    OwnFile& operator=(const OwnFile&) = delete;
    ~OwnFile() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }

    void fill(const std::string& text) {
        const mode_t mask = ::umask(0);
        ::umask(mask);
        if (::write(file_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
            ::fchmod(file_.get(), 0777U & ~mask) != 0) {
            throw_errno("write", path_);
        }
        file_.reset();
    }

    const std::string& path() const { return path_; }
    void leave() { path_.clear(); }

 private:
    SignalsWait signals_;  // before the file is made, until it has gone
    std::string path_;
    Fd file_;
};

/// The client's path for a #! line: the one on PATH, if it is this one, for that may be a link that stays
/// while versions come and go; otherwise the file beside this program.
std::string client_path() {
    const std::string own = fs::read_symlink("/proc/self/exe").replace_filename("quicken");
    if (::access(own.c_str(), X_OK) != 0) throw_errno("find the client", own);
    std::error_code none;
    const std::string found = find_on_path("quicken");
    const std::string client = found.starts_with('/') && fs::equivalent(found, own, none) ? found : own;
    if (client.find_first_of(" \t\n") != std::string::npos) {
        throw Error("quicken is in " + client + ": no #! line can name a path with blanks");
    }
    return client;
}

/// Will the kernel pass it on as it is?
bool fits_line(const std::string& line) {
    return line.size() <= k_shebang_size && line.find('\n') == std::string::npos && line.back() != ' ' &&
           line.back() != '\t';
}

std::string launcher_text(const std::string& client, const std::string& original) {
    const std::string start = "#!" + client + std::string(k_launch_option);
    if (!fits_line(start)) throw Error(client + ": the path is too long for a #! line");
    const std::string line = start + "=" + original;
    const std::string refusal(k_launcher_refusal);
    return fits_line(line) ? line + "\n" + refusal : start + "\n" + refusal + original + "\n";
}

/// None if nothing has that name; empty if it is something that cannot be a launcher.
std::optional<std::string> content_of(const std::string& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
    if (!file && errno == ENOENT) return std::nullopt;
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
    std::string content(k_launcher_size + 1, '\0');
    const ssize_t size = ::read(file.get(), content.data(), content.size());
    content.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return content;
}

std::string directory_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

void give_back(OwnFile& taken, const std::string& path) {
    if (::link(taken.path().c_str(), path.c_str()) == 0) throw Error(path + " has been replaced meanwhile");
    const std::string now = taken.path();
    taken.leave();
    throw Error(path + " has been replaced meanwhile; what was there is now " + now);
}

/// False if nothing had that name.
bool take_away(const std::string& path, const std::string& original) {
    OwnFile taken(directory_of(path));
    if (::rename(path.c_str(), taken.path().c_str()) != 0) {
        if (errno == ENOENT) return false;
        throw_errno("remove", path);
    }
    if (original_in(content_of(taken.path()).value_or("")) != original) give_back(taken, path);
    return true;
}

/// For a launcher of `original`, where `content` has the name that it is to get.
void check_replaceable(const std::string& path, const std::string& content, const std::string& original) {
    const std::string_view other = original_in(content);
    if (other == original) return;
    throw Error(path +
                (other.empty() ? " is there and is no launcher of quicken: nothing is overwritten"
                               : " is the launcher of another program, " + std::string(other)) +
                "; --suffix or --into name another");
}

}  // namespace

std::optional<std::string> launcher_at(const std::string& path) {
    const std::string content = content_of(path).value_or("");
    const std::string_view original = original_in(content);
    return original.empty() ? std::nullopt : std::optional(std::string(original));
}

bool write_launcher(const std::string& path, const std::string& original) {
    const std::string text = launcher_text(client_path(), original);
    if (content_of(path) == text) return false;
    std::error_code error;
    fs::create_directories(directory_of(path), error);
    if (error) throw Error("make", directory_of(path), error.value());
    OwnFile made(directory_of(path));
    made.fill(text);
    while (::link(made.path().c_str(), path.c_str()) != 0) {
        if (errno != EEXIST) throw_errno("make", path);
        const auto content = content_of(path);
        if (content == text) return false;
        if (!content) continue;
        check_replaceable(path, *content, original);
        take_away(path, original);
    }
    return true;
}

void remove_launcher(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        throw Error(errno == ENOENT ? "there is no " + path + "; quickenctl wrap --list shows the launchers"
                                    : path + ": " + errno_text(errno));
    }
    const auto original = launcher_at(path);
    if (!original) throw Error(path + " is no launcher of quicken: it is left alone");
    if (!take_away(path, *original)) throw Error("remove", path, ENOENT);
}

std::vector<std::string> names_in(const std::string& directory) {
    struct Close {
        void operator()(DIR* stream) const noexcept { ::closedir(stream); }
    };
    const std::unique_ptr<DIR, Close> stream(::opendir(directory.c_str()));
    if (!stream) throw_errno("list", directory);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream.get())) names.emplace_back(entry->d_name);
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<std::string> launchers_in(const std::string& directory) {
    if (::access(directory.c_str(), F_OK) != 0) return {};
    std::vector<std::string> paths;
    for (const std::string& name : names_in(directory)) {
        if (const std::string path = directory + "/" + name; launcher_at(path)) paths.push_back(path);
    }
    return paths;
}

}  // namespace quicken::ctl
