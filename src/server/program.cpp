#include "program.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "common/instance.hpp"
#include "common/target.hpp"
#include "common/text.hpp"
#include "common/validate.hpp"

namespace quicken::server {

namespace {

std::vector<const char*> strings(const std::string& body, std::size_t offset, std::size_t length) {
    std::vector<const char*> found;
    const char* at = body.data() + offset;
    for (const char* end = at + length; at < end; at += std::strlen(at) + 1) found.push_back(at);
    return found;
}

/// A line of /proc/PID/status (proc(5)).
std::optional<mode_t> umask_of(pid_t pid) {
    const Fd file(open(fmt::format("/proc/{}/status", pid).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 4096> text{};
    if (!file || ::read(file.get(), text.data(), text.size() - 1) <= 0) return std::nullopt;
    constexpr std::string_view k_name = "\nUmask:\t";
    const char* line = std::strstr(text.data(), k_name.data());
    if (line == nullptr) return std::nullopt;
    return static_cast<mode_t>(std::strtoul(line + k_name.size(), nullptr, 8));
}

/// A pid is its own as long as it is connected.
bool is_connected(int connection) {
    char byte = 0;
    return recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

}  // namespace

bool Program::look_at_client(int connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid == 0) return false;
    const std::string path = fmt::format("/proc/{}/cwd", peer.pid);
    directory.reset(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const std::optional<mode_t> mask = umask_of(peer.pid);
    umask = mask.value_or(0);
    return directory && mask && is_connected(connection);
}

std::optional<Program> Program::read(const Fd& memory) {
    Program program;
    std::uint32_t size = 0;
    const auto header = static_cast<ssize_t>(sizeof program.request);
    if (pread(memory.get(), &program.request, sizeof program.request, 0) != header) return std::nullopt;
    if (wire::check_header(program.request, size) != nullptr) return std::nullopt;
    program.body.resize(size);
    if (pread(memory.get(), program.body.data(), size, header) != static_cast<ssize_t>(size))
        return std::nullopt;
    if (wire::check_body(program.request, program.body.data(), wire::k_request_fds) != nullptr)
        return std::nullopt;
    return program;
}

std::string_view Program::name() const {
    return {body.data(), request.name_length};
}

std::string_view Program::directory_name() const {
    return {body.data() + wire::directory_offset(request), request.directory_length};
}

std::string_view Program::interpreter() const {
    return {body.data() + wire::interpreter_offset(request), request.interpreter_length};
}

std::vector<const char*> Program::options() const {
    return strings(body, wire::options_offset(request), request.options_length);
}

std::vector<const char*> Program::arguments() const {
    return strings(body, wire::argv_offset(request), request.argv_length);
}

std::vector<const char*> Program::environment() const {
    return strings(body, wire::environ_offset(request), request.environ_length);
}

const char* Program::variable(std::string_view variable_name) const {
    for (const char* entry : environment()) {
        if (std::strncmp(entry, variable_name.data(), variable_name.size()) == 0 &&
            entry[variable_name.size()] == '=') {
            return entry + variable_name.size() + 1;
        }
    }
    return nullptr;
}

std::vector<std::string> Program::preloads() const {
    std::vector<std::string> names;
    if (request.what != wire::What::python) return names;
    for (std::string_view rest = name(); !rest.empty();) names.emplace_back(take_until(rest, ' '));
    return names;
}

const char* Program::what() const {
    if (request.what == wire::What::file) return "file";
    if (request.what == wire::What::python) return "python";
    return request.what == wire::What::module ? "module" : "entry";
}

const char* Program::fork_point() const {
    return request.fork_point == wire::ForkPoint::start ? "start" : "";
}

wire::Instance Program::expected_instance() const {
    Target target{};
    target.what = request.what;
    target.name = name();
    target.directory = directory_name();
    target.interpreter = interpreter();
    target.options = {body.data() + wire::options_offset(request), request.options_length};
    target.fork_point = request.fork_point;
    std::vector<char*> variables;
    for (const char* entry : environment()) variables.push_back(const_cast<char*>(entry));
    variables.push_back(nullptr);
    return instance_of(target, variables.data());
}

}  // namespace quicken::server
