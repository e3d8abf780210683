// A message is one writev(2), so that it is one piece on a terminal or in a
// log that others write to. Its failure is ignored: there is nobody to tell.
#include "message.hpp"

#include <sys/uio.h>

#include <cerrno>
#include <cstddef>

#include "common/sys.hpp"

namespace quicken::client {

namespace {

constexpr std::size_t k_parts = 8;

void write_line(std::string_view prefix, std::initializer_list<std::string_view> parts) {
    iovec pieces[k_parts + 2];
    std::size_t count = 0;
    const auto put = [&](std::string_view text) {
        pieces[count++] = {const_cast<char*>(text.data()), text.size()};
    };
    put(prefix);
    for (const std::string_view part : parts) {
        if (count <= k_parts) put(part);
    }
    put("\n");
    sys::writev(STDERR_FILENO, pieces, count);
}

struct ErrorText {
    int error;
    std::string_view text;
};

/// What connect(2), execve(2), open(2) and sendmsg(2) commonly end with.
constexpr ErrorText k_errors[] = {
    {E2BIG, "Argument list too long"},
    {EACCES, "Permission denied"},
    {EAGAIN, "Resource temporarily unavailable"},
    {ECONNREFUSED, "Connection refused"},
    {ELOOP, "Too many levels of symbolic links"},
    {EMFILE, "Too many open files"},
    {ENAMETOOLONG, "File name too long"},
    {ENFILE, "Too many open files in system"},
    {ENOENT, "No such file or directory"},
    {ENOEXEC, "Exec format error"},
    {ENOMEM, "Cannot allocate memory"},
    {ENOTDIR, "Not a directory"},
    {EPERM, "Operation not permitted"},
    {ETOOMANYREFS, "Too many references: cannot splice"},
    {ETXTBSY, "Text file busy"},
};

}  // namespace

void say_line(std::initializer_list<std::string_view> parts) {
    write_line("", parts);
}

void say(std::initializer_list<std::string_view> parts) {
    write_line("quicken: ", parts);
}

void die(int status, std::initializer_list<std::string_view> parts) {
    say(parts);
    sys::exit(status);
}

std::string_view error_text(int error) {
    for (const ErrorText& entry : k_errors) {
        if (entry.error == error) return entry.text;
    }
    return "Unexpected error";
}

int exec_status(int error) {
    return error == ENOENT || error == ENOTDIR ? 127 : 126;
}

}  // namespace quicken::client
