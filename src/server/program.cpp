#include "program.hpp"

#include <unistd.h>

#include <cstring>

#include "common/target.hpp"
#include "common/validate.hpp"

namespace quicken::server {

namespace {

std::vector<const char*> strings(const std::string& body, std::size_t offset, std::size_t length) {
    std::vector<const char*> found;
    const char* at = body.data() + offset;
    for (const char* end = at + length; at < end; at += std::strlen(at) + 1) found.push_back(at);
    return found;
}

}  // namespace

std::optional<Program> Program::read(const Fd& memory, Fd directory) {
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
    program.directory = std::move(directory);
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

const char* Program::what() const {
    if (request.what == wire::What::file) return "file";
    return request.what == wire::What::module ? "module" : "entry";
}

wire::Instance Program::expected_instance() const {
    Target target{};
    target.what = request.what;
    target.name = name();
    target.directory = directory_name();
    target.interpreter = interpreter();
    target.options = {body.data() + wire::options_offset(request), request.options_length};
    std::vector<char*> variables;
    for (const char* entry : environment()) variables.push_back(const_cast<char*>(entry));
    variables.push_back(nullptr);
    return instance_of(target, variables.data());
}

}  // namespace quicken::server
