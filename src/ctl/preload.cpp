// The file is replaced by rename(2), and two of us wait for one another: the lock is on the directory, as the
// file is another one each time.
#include "ctl/preload.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/dotted.hpp"
#include "common/dropin.hpp"
#include "common/error.hpp"
#include "common/fd.hpp"
#include "common/preload_list.hpp"
#include "common/target.hpp"
#include "ctl/output.hpp"

namespace quicken::ctl {
namespace {

using Lines = std::vector<std::string>;

/// Names of toolkits, and the modules that they stand for, of which the first is looked for
/// (interp/toolkits.py).
constexpr std::array<std::array<const char*, 2>, 4> k_toolkits{
    {{"gtk", "gi"}, {"gtk4", "gi"}, {"qt", "PyQt5.QtWidgets"}, {"qt6", "PyQt6.QtWidgets"}}};

std::string file() {
    std::array<char, PATH_MAX> text{};
    TextBuffer path(text.data(), text.size());
    if (!preload_file(environ, path)) throw Error("neither XDG_CONFIG_HOME nor HOME is an absolute path");
    return text.data();
}

/// Of the file that a link leads to: that is what is replaced then.
std::string real_path(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
    if (!real && errno != ENOENT) throw_errno("find", path);
    return real ? real.get() : path;
}

std::string read_file(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd && errno == ENOENT) return {};
    if (!fd) throw_errno("open", path);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
        throw Error(path + " is not a regular file");
    std::string text(k_max_preload_file + 1, '\0');
    const ssize_t size = ::read(fd.get(), text.data(), text.size());
    if (size < 0) throw_errno("read", path);
    if (static_cast<std::size_t>(size) >= k_max_preload_file)
        throw Error(fmt::format("{} is longer than {} bytes", path, k_max_preload_file - 1));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

/// The last one may have no newline at its end.
Lines lines_of(std::string_view text) {
    Lines lines;
    while (!text.empty()) lines.emplace_back(take_until(text, '\n'));
    return lines;
}

/// Throws for a line that would keep every run from being served.
Lines names_in(const Lines& lines, const std::string& path) {
    Lines names;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string name(preload_name(lines[i]));
        if (name.empty()) continue;
        if (!is_dotted(name))
            throw Error(fmt::format("{}:{}: \"{}\" is not the name of a module", path, i + 1,
                                    dropin::printable(name)));
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    return names;
}

void write_all(const Fd& fd, std::string_view text, const std::string& path) {
    while (!text.empty()) {
        const ssize_t size = ::write(fd.get(), text.data(), text.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) throw_errno("write", path);
        text.remove_prefix(static_cast<std::size_t>(size));
    }
}

void replace_file(const std::string& path, const std::string& text) {
    struct stat status {};
    const mode_t mode = ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777 : 0644;
    std::string temporary = path + ".XXXXXX";
    const Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) throw_errno("make", temporary);
    try {
        write_all(fd, text, temporary);
        if (::fchmod(fd.get(), mode) != 0) throw_errno("set the mode of", temporary);
        if (::fsync(fd.get()) != 0) throw_errno("write", temporary);
        if (::rename(temporary.c_str(), path.c_str()) != 0) throw_errno("replace", path);
    } catch (const Error&) {
        ::unlink(temporary.c_str());
        throw;
    }
}

Fd lock(const std::string& path) {
    const std::string directory = path.substr(0, path.rfind('/'));
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) throw_errno("open", directory);
    if (::flock(fd.get(), LOCK_EX) != 0) throw_errno("lock", directory);
    return fd;
}

/// Exit status of an interpreter that runs `code` with one argument; its output is nobody's.
int run_python(const std::string& python, const char* code, const std::string& argument) {
    const pid_t pid = ::fork();
    if (pid < 0) throw_errno("fork for", python);
    if (pid == 0) {
        const int null = ::open("/dev/null", O_RDWR);
        for (const int fd : {0, 1, 2}) ::dup2(null, fd);
        ::execl(python.c_str(), python.c_str(), "-c", code, argument.c_str(), nullptr);
        ::_exit(127);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string interpreter(const std::string& wanted) {
    const auto storage = std::make_unique<Storage>();
    const Target target =
        resolve(wire::What::module, "preload", wanted.empty() ? nullptr : wanted.c_str(), environ, *storage);
    if (target.interpreter.empty()) throw Error(target.plain);
    return std::string(target.interpreter);
}

/// Looked for where no script is: not in the working directory.
void check_module(const std::string& name, const std::string& python) {
    constexpr const char* k_code =
        "import sys\n"
        "if '' in sys.path: sys.path.remove('')\n"
        "import importlib.util\n"
        "try: found = importlib.util.find_spec(sys.argv[1]) is not None\n"
        "except ModuleNotFoundError: found = False\n"
        "sys.exit(0 if found else 3)\n";
    std::string module = name;
    for (const auto& [toolkit, needed] : k_toolkits) {
        if (name == toolkit) module = needed;
    }
    const int status = run_python(python, k_code, module);
    if (status == 3) throw Error(fmt::format("{} finds no module {}", dropin::printable(python), module));
    if (status != 0) throw Error(fmt::format("{} cannot say whether there is a module {}", python, module));
}

void check_names(const PreloadOptions& options) {
    for (const std::string& name : options.names) {
        if (!is_dotted(name))
            throw Error(fmt::format("\"{}\" is not the name of a module", dropin::printable(name)));
    }
}

int add(const PreloadOptions& options) {
    check_names(options);
    const std::string python = interpreter(options.python);
    for (const std::string& name : options.names) check_module(name, python);
    const std::string path = real_path(file());
    const Fd held = lock(path);
    std::string text = read_file(path);
    Lines known = names_in(lines_of(text), path);
    const std::string before = text;
    for (const std::string& name : options.names) {
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        if (!text.empty() && text.back() != '\n') text += '\n';
        text += name + '\n';
        known.push_back(name);
    }
    if (text.size() >= k_max_preload_file) throw Error(path + " would be too long");
    if (text != before) replace_file(path, text);
    return 0;
}

int remove(const PreloadOptions& options) {
    check_names(options);
    const std::string path = real_path(file());
    const Fd held = lock(path);
    const Lines lines = lines_of(read_file(path));
    const Lines known = names_in(lines, path);
    for (const std::string& name : options.names) {
        if (std::find(known.begin(), known.end(), name) == known.end())
            throw Error(fmt::format("{} is not in {}", name, path));
    }
    std::string text;
    for (const std::string& line : lines) {
        const std::string name(preload_name(line));
        if (std::find(options.names.begin(), options.names.end(), name) == options.names.end())
            text += line + '\n';
    }
    replace_file(path, text);
    return 0;
}

int list(const PreloadOptions& options) {
    const std::string path = file();
    const Lines names = names_in(lines_of(read_file(path)), path);
    if (options.json) {
        print(nlohmann::ordered_json(names));
        return 0;
    }
    for (const std::string& name : names) fmt::print("{}\n", name);
    return 0;
}

}  // namespace

int preload(const PreloadOptions& options) {
    if (options.action == "list") return list(options);
    return options.action == "add" ? add(options) : remove(options);
}

}  // namespace quicken::ctl
