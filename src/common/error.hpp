// How failure travels.
//
// Cold paths throw one type, Error. Its text says what was attempted, on what,
// and why it failed: "connect /run/user/1000/quicken/3f.sock: Connection
// refused". Whoever can go on without the thing catches it; otherwise main
// prints the text and ends. Hot paths, freestanding code and everything between
// fork(2) and exec(2) return values instead and never throw.
// Whoever ignores a failure says why in a comment.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace quicken {

/// The text of an errno value (positive).
inline std::string errno_text(int error) {
    return std::generic_category().message(error);
}

class Error : public std::runtime_error {
 public:
    /// `text` is complete; there is no errno value to it.
    explicit Error(const std::string& text) : std::runtime_error(text) {}

    /// "ATTEMPT OBJECT: errno text"
    Error(std::string_view attempt, std::string_view object, int error)
        : std::runtime_error(std::string(attempt) + " " + std::string(object) + ": " + errno_text(error)),
          code_(error) {}

    /// The errno value, or 0.
    int code() const noexcept { return code_; }

 private:
    int code_ = 0;
};

/// Throws what errno says.
[[noreturn]] inline void throw_errno(std::string_view attempt, std::string_view object) {
    throw Error(attempt, object, errno);
}

}  // namespace quicken
