#include "ctl/original.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "common/launcher.hpp"
#include "common/shebang.hpp"
#include "common/target.hpp"

namespace quicken::ctl {
namespace {

bool is_program(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

/// Of a regular file that may be executed.
std::string read_beginning(const std::string& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) throw_errno("read", path);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) throw_errno("read", path);
    if (!S_ISREG(status.st_mode)) {
        throw Error(path + (S_ISDIR(status.st_mode) ? " is a directory" : " is not a regular file"));
    }
    if (::access(path.c_str(), X_OK) != 0) {
        throw Error(errno == EACCES ? path + " is not executable; chmod +x makes it so"
                                    : path + ": " + errno_text(errno));
    }
    std::string content(k_shell_lines_size, '\0');
    const ssize_t size = ::read(file.get(), content.data(), content.size());
    if (size < 0) throw_errno("read", path);
    content.resize(static_cast<std::size_t>(size));
    return content;
}

std::string what_it_is(std::string_view content, const Shebang& shebang) {
    if (shebang.plain != nullptr) return std::string("cannot be wrapped: ") + shebang.plain;
    if (shebang.kind == Shebang::Kind::quicken) return "begins with #!quicken already and needs no launcher";
    if (shebang.kind == Shebang::Kind::other) {
        return "is no Python script: its #! line names " + std::string(shebang.interpreter);
    }
    if (content.starts_with("\177ELF")) return "is no Python script but machine code (ELF)";
    return "is no Python script: it has no #! line that names a Python";
}

void check_interpreter(const std::string& path, std::string_view python) {
    if (python.find('/') == std::string_view::npos) return;  // along the PATH of each run
    const std::string interpreter(python);
    if (::access(interpreter.c_str(), X_OK) != 0) {
        throw Error(path + ": its interpreter " + interpreter + ": " + errno_text(errno));
    }
}

std::string find_program(const std::string& name) {
    bool passed_over = false;
    for (const std::string& directory : path_directories()) {
        const std::string path = directory + "/" + name;
        if (!is_program(path)) continue;
        if (!launched_by(path)) return absolute_path(path);
        passed_over = true;
    }
    if (passed_over) throw Error("on PATH, " + name + " is only a launcher of quicken");
    throw Error("there is no program " + name + " on PATH" +
                (::access(name.c_str(), F_OK) == 0 ? "; for the file here: ./" + name : ""));
}

}  // namespace

std::vector<std::string> path_directories() {
    const char* const path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "/bin:/usr/bin";  // confstr(3), _CS_PATH
    std::vector<std::string> directories;
    for (bool last = false; !last;) {
        last = rest.find(':') == std::string_view::npos;
        const std::string_view directory = take_until(rest, ':');
        directories.emplace_back(directory.empty() ? "." : directory);
    }
    return directories;
}

std::string find_on_path(const std::string& name) {
    for (const std::string& directory : path_directories()) {
        if (const std::string path = directory + "/" + name; is_program(path)) return path;
    }
    return {};
}

std::string find_original(const std::string& name) {
    const std::string path = name.find('/') == std::string::npos ? find_program(name) : absolute_path(name);
    check_original(path);
    return path;
}

void check_original(const std::string& path) {
    if (const auto original = launched_by(path)) {
        throw Error(path + " is a launcher of quicken itself, of " + *original);
    }
    const std::string content = read_beginning(path);
    std::array<char, k_shell_lines_size> options{};
    Shebang shebang(TextBuffer(options.data(), options.size()));
    read_shebang(content, shebang);
    if (shebang.kind != Shebang::Kind::python || shebang.plain != nullptr)
        throw Error(path + " " + what_it_is(content, shebang));
    check_interpreter(path, shebang.python);
}

std::string fault_of_original(const std::string& path) {
    try {
        check_original(path);
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

std::optional<std::string> launched_by(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    char content[k_launcher_size + 1];
    std::string_view original;
    if (read_launcher(path.c_str(), content, original) != 0) return std::nullopt;
    return std::string(original);
}

std::string absolute_path(const std::string& path) {
    const auto storage = std::make_unique<Storage>();
    const Target target = resolve(wire::What::file, path.c_str(), nullptr, environ, *storage);
    if (target.name.empty()) throw Error(path + ": there is no absolute path to it, or it is too long");
    return std::string(target.name);
}

}  // namespace quicken::ctl
