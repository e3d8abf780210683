#include "common/dropin.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "common/error.hpp"
#include "common/fd.hpp"

namespace quicken::dropin {
namespace {

constexpr char k_file[] = "/10-quicken.conf";
constexpr std::size_t k_max_content = 128U << 10U;  // bytes; four names of at most 4 KiB, escaped

std::string hex_escape(char c) {
    char text[8];
    std::snprintf(text, sizeof text, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    return text;
}

/// Length of the printable UTF-8 character that `text` begins with; 0 if it
/// does not begin with one (The Unicode Standard, table 3-7).
std::size_t printable_length(std::string_view text) {
    const auto at = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
    };
    const auto is_tail = [&](std::size_t i) { return (at(i) & 0xc0U) == 0x80U; };
    const unsigned first = at(0);
    if (first < 0x80) {
        return first >= 0x20 && first != 0x7f ? 1 : 0;
    }
    if (first >= 0xc2 && first <= 0xdf && is_tail(1)) {
        const bool is_control = first == 0xc2 && at(1) < 0xa0;
        return is_control ? 0 : 2;
    }
    if (first >= 0xe0 && first <= 0xef && is_tail(1) && is_tail(2)) {
        const bool overlong = first == 0xe0 && at(1) < 0xa0;
        const bool surrogate = first == 0xed && at(1) >= 0xa0;
        const bool noncharacter = first == 0xef && at(1) == 0xbf && at(2) >= 0xbe;
        return overlong || surrogate || noncharacter ? 0 : 3;
    }
    if (first >= 0xf0 && first <= 0xf4 && is_tail(1) && is_tail(2) && is_tail(3)) {
        const bool overlong = first == 0xf0 && at(1) < 0x90;
        const bool too_large = first == 0xf4 && at(1) >= 0x90;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

std::string c_unescape(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 3 >= text.size()) {
            result += text[i];
            continue;
        }
        const std::string digits(text.substr(i + 2, 2));
        result += static_cast<char>(std::strtoul(digits.c_str(), nullptr, 16));
        i += 3;
    }
    return result;
}

std::string directory_of(const std::string& runtime_directory, const std::string& unit) {
    return unit_directory(runtime_directory) + "/" + unit + ".d";
}

/// A reader sees the old content or the new, never a part.
void replace_file(const std::string& path, std::string_view content) {
    const std::string temporary = path + "." + std::to_string(::getpid());
    {
        const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
        if (!fd) {
            throw_errno("write", temporary);
        }
        const ssize_t written = ::write(fd.get(), content.data(), content.size());
        if (written < 0 || static_cast<std::size_t>(written) != content.size()) {
            const int error = written < 0 ? errno : ENOSPC;
            ::unlink(temporary.c_str());
            throw Error("write", temporary, error);
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        throw Error("write", path, error);
    }
}

}  // namespace

std::string double_percent(std::string_view text) {
    std::string result;
    for (const char c : text) {
        result.append(c == '%' ? 2U : 1U, c);
    }
    return result;
}

std::string c_escape(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool is_outer_space = c == ' ' && (i == 0 || i + 1 == text.size());
        const bool is_plain = c >= 0x20 && c < 0x7f && c != '\\' && c != '"' && c != '\'' && !is_outer_space;
        result += is_plain ? std::string(1, c) : hex_escape(c);
    }
    return result;
}

std::string quoted(const std::string& word) {
    std::string result = "\"";
    result.append(double_percent(c_escape(word))).append("\"");
    return result;
}

void make_directory(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
        throw_errno("make the directory", path);
    }
}

std::optional<std::string> content(const std::string& directory) {
    const std::string path = directory + k_file;
    const Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
        return std::nullopt;
    }
    std::string text(k_max_content, '\0');
    const ssize_t size = ::read(fd.get(), text.data(), text.size());
    if (size < 0) {
        return std::nullopt;
    }
    text.resize(static_cast<std::size_t>(size));
    return text;
}

bool update(const std::string& directory, const std::string& text) {
    if (text.size() >= k_max_content) {
        throw Error("write", directory + k_file, EFBIG);  // what content() would read of it is a part
    }
    make_directory(directory, 0755);
    const auto before = content(directory);
    if (before == text) {
        return false;
    }
    replace_file(directory + k_file, text);
    return before.has_value();
}

void remove_directory(const std::string& path) {
    // What is not there need not be removed; a directory in which somebody
    // keeps more (`systemctl --user edit`) stays.
    ::unlink((path + k_file).c_str());
    ::rmdir(path.c_str());
}

std::string value_of(const std::string& text, std::string_view key) {
    const std::string start = std::string("\n").append(key).append("=");
    const std::size_t section = text.find("\n[X-Quicken]\n");
    const std::size_t at = section == std::string::npos ? section : text.find(start, section);
    if (at == std::string::npos) {
        return {};
    }
    const std::size_t begin = at + start.size();
    return c_unescape(std::string_view(text).substr(begin, text.find('\n', begin) - begin));
}

std::string socket_unit(std::string_view id) {
    return "quicken@" + std::string(id) + ".socket";
}

std::string service_unit(std::string_view id) {
    return "quicken@" + std::string(id) + ".service";
}

std::string unit_directory(const std::string& runtime_directory) {
    return runtime_directory + "/systemd/user";
}

std::string printable(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t length = printable_length(text);
        result += length > 0 ? std::string(text.substr(0, length)) : hex_escape(text.front());
        text.remove_prefix(length > 0 ? length : 1);
    }
    return result;
}

bool write(const std::string& runtime_directory, std::string_view id, const Subject& subject,
           const std::string& server) {
    const std::string unit = "[Unit]\nDescription=quicken: " + double_percent(printable(subject.name)) +
                             " (" + double_percent(printable(subject.interpreter)) + ")\n";
    const std::string about = "\n[X-Quicken]\nWhat=" + subject.what + "\nName=" + c_escape(subject.name) +
                              "\nDirectory=" + c_escape(subject.directory) +
                              "\nInterpreter=" + c_escape(subject.interpreter) + "\n";
    make_directory(runtime_directory + "/systemd", 0755);
    make_directory(unit_directory(runtime_directory), 0755);
    const bool socket_changed = update(directory_of(runtime_directory, socket_unit(id)), unit);
    const bool service_changed =
        update(directory_of(runtime_directory, service_unit(id)),
               unit + "\n[Service]\nExecStart=\nExecStart=:" + quoted(server) + "\n" + about);
    return socket_changed || service_changed;
}

std::optional<Subject> read(const std::string& runtime_directory, std::string_view id) {
    const auto text = content(directory_of(runtime_directory, service_unit(id)));
    if (!text) {
        return std::nullopt;
    }
    return Subject{value_of(*text, "What"), value_of(*text, "Name"), value_of(*text, "Directory"),
                   value_of(*text, "Interpreter")};
}

void remove(const std::string& runtime_directory, std::string_view id) {
    remove_directory(directory_of(runtime_directory, socket_unit(id)));
    remove_directory(directory_of(runtime_directory, service_unit(id)));
}

}  // namespace quicken::dropin
