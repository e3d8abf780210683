// A client's request, and what its process shows. A template is made from it,
// under that client's own environment, directory and umask.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.hpp"
#include "common/wire.hpp"

namespace quicken::server {

/// A complete request of a client of ours, checked (common/validate.hpp).
struct Program {
    wire::Request request{};
    std::string body;
    Fd directory;  // O_PATH
    mode_t umask = 0;

    /// From a memfd that a spare has written; nothing if that is no request.
    static std::optional<Program> read(const Fd& memory);
    /// Takes directory and umask from the client at the other end of a connection. False if it is gone.
    bool look_at_client(int connection);

    std::string_view name() const;
    std::string_view directory_name() const;
    std::string_view interpreter() const;
    /// Pointers into `body`.
    std::vector<const char*> options() const;
    std::vector<const char*> arguments() const;
    std::vector<const char*> environment() const;
    /// Value of a variable of the client's environment, or nullptr.
    const char* variable(std::string_view variable_name) const;
    /// Of a shared interpreter: what it is to import.
    std::vector<std::string> preloads() const;
    /// "file", "module", "entry" or "python".
    const char* what() const;
    /// "start", or "" where the source says it.
    const char* fork_point() const;
    /// The instance that this request must be for, by the server's own groups.
    wire::Instance expected_instance() const;
};

}  // namespace quicken::server
