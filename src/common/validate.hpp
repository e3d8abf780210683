// Whether a request is well formed. Both receivers ask: the supervisor, which
// makes a template from the first one, and the spare, which serves the others.
//
// Freestanding but for memchr(3).
#pragma once

#include <string.h>

#include <cstddef>
#include <cstdint>

#include "common/wire.hpp"

namespace quicken::wire {

inline constexpr int k_request_fds = 1;  // the deposit

/// Offsets of a body's parts, in bytes. Valid only after check_header.
constexpr std::size_t directory_offset(const Request& request) {
    return request.name_length;
}
constexpr std::size_t interpreter_offset(const Request& request) {
    return directory_offset(request) + request.directory_length;
}
constexpr std::size_t options_offset(const Request& request) {
    return interpreter_offset(request) + request.interpreter_length;
}
constexpr std::size_t argv_offset(const Request& request) {
    return options_offset(request) + request.options_length;
}
constexpr std::size_t environ_offset(const Request& request) {
    return argv_offset(request) + request.argv_length;
}

/// nullptr and the size of the body, or what is wrong.
inline const char* check_header(const Request& request, std::uint32_t& size) {
    if (request.magic != k_magic) return "not a request";
    if (request.protocol != k_protocol) return "the server speaks another version of the protocol";
    if (request.fork_point > ForkPoint::start) return "no such fork point";
    if (request.name_length > k_max_name || request.directory_length > k_max_name ||
        request.interpreter_length > k_max_name || request.options_length > k_max_options) {
        return "a name in the request is too long";
    }
    if (request.argc == 0 || request.argc > k_max_strings || request.envc > k_max_strings) {
        return "too many or too few strings in the request";
    }
    const std::uint64_t sum = std::uint64_t{request.name_length} + request.directory_length +
                              request.interpreter_length + request.options_length + request.argv_length +
                              request.environ_length;
    if (sum > k_max_body) return "the request is larger than 8 MiB";
    size = static_cast<std::uint32_t>(sum);
    return nullptr;
}

/// Exactly `count` strings, the last one ended by the last byte.
inline bool has_strings(const char* data, std::size_t size, std::size_t count) {
    if (size == 0) return count == 0;
    if (data[size - 1] != '\0') return false;
    std::size_t found = 0;
    for (const char* end = data + size; data < end; ++found) {
        data = static_cast<const char*>(memchr(data, '\0', static_cast<std::size_t>(end - data))) + 1;
    }
    return found == count;
}

/// nullptr, or what is wrong with a complete request that came with `fd_count` fds.
inline const char* check_body(const Request& request, const char* body, int fd_count) {
    if (memchr(body, '\0', options_offset(request)) != nullptr) return "a name in the request has a NUL";
    if (!has_strings(body + argv_offset(request), request.argv_length, request.argc) ||
        !has_strings(body + environ_offset(request), request.environ_length, request.envc)) {
        return "the request's strings are malformed";
    }
    const std::uint32_t what = static_cast<std::uint32_t>(request.what);
    if (what < static_cast<std::uint32_t>(What::file) || what > static_cast<std::uint32_t>(What::python)) {
        return "the request names nothing that can be run";
    }
    const std::uint32_t terminal = request.terminal & ~k_own_name;
    if ((terminal & ~(7U | k_has_terminal | k_foreground)) != 0 ||
        ((terminal & k_has_terminal) == 0 && terminal != 0)) {
        return "the request's terminal is not what it says";
    }
    return fd_count == k_request_fds ? nullptr : "the request's fds are not what it says";
}

}  // namespace quicken::wire
