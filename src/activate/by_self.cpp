// Activation where no user manager can be reached: containers, cron, CI.
//
// Under an exclusive lock of the directory: a socket that answers is used;
// otherwise its path is a leftover and is bound anew, and a server inherits the
// listening socket exactly as systemd would pass it (sd_listen_fds(3)). Of any
// number of activators at once the first one binds and the others find it
// listening. A server unlinks its path under the same lock, so nobody connects
// to a path that is about to go.
//
// The server is nobody's child and in a session of its own. Whether its exec
// succeeded comes back through a pipe that exec closes; if it did not, the path
// is unlinked before the lock is released.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string_view>
#include <vector>

#include "activate/activation.hpp"
#include "common/target.hpp"

namespace quicken {
namespace {

/// What a user manager passes on to its services; the rest comes with each request.
constexpr const char* k_passed_on[] = {"HOME", "USER", "LOGNAME",         "SHELL",
                                       "PATH", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"};

constexpr int k_listen_fd = 3;  // SD_LISTEN_FDS_START
constexpr int k_report_fd = 4;  // closed by exec
constexpr int k_parking = 10;   // above both

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw Error("bind", path, ENAMETOOLONG);
    }
    std::memcpy(address.sun_path, path.c_str(), path.size());
    return address;
}

Fd make_socket(int flags) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    if (!fd) {
        throw_errno("make", "a Unix socket");
    }
    return fd;
}

bool answers(const sockaddr_un& address) {
    const Fd fd = make_socket(SOCK_NONBLOCK);
    const int result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return result == 0 || errno == EAGAIN;  // EAGAIN: its queue is full
}

Fd listen_at(const sockaddr_un& address) {
    Fd fd = make_socket(0);
    ::unlink(address.sun_path);  // fails if there is no leftover, and then bind succeeds
    const mode_t before = ::umask(0177);
    const int result = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = errno;
    ::umask(before);
    if (result != 0) {
        throw Error("bind", address.sun_path, error);
    }
    if (::listen(fd.get(), SOMAXCONN) != 0) {
        const int listen_error = errno;
        ::unlink(address.sun_path);
        throw Error("listen on", address.sun_path, listen_error);
    }
    return fd;
}

/// Everything that the server's exec needs: after fork(2) nothing is allocated.
class ServerImage {
 public:
    ServerImage(const Activation& a, const std::string& socket)
        : program_(a.prefix + "/libexec/quicken/quicken-server") {
        for (const char* name : k_passed_on) {
            if (const char* value = get_environment(a.environment, name); value != nullptr) {
                texts_.push_back(std::string(name) + "=" + value);
            }
        }
        texts_.emplace_back("LISTEN_FDS=1");
        texts_.push_back("QUICKEN_SOCKET=" + socket);
        for (auto& text : texts_) {
            environment_.push_back(text.data());
        }
        environment_.push_back(listen_pid_.data());
        environment_.push_back(nullptr);
        arguments_ = {program_.data(), nullptr};
    }
    ServerImage(const ServerImage&) = delete;
    ServerImage& operator=(const ServerImage&) = delete;

    const std::string& program() const { return program_; }

    /// Only in the process that becomes the server; returns errno.
    int exec() noexcept {
        constexpr std::string_view k_name = "LISTEN_PID=";
        char* const value = std::copy(k_name.begin(), k_name.end(), listen_pid_.data());
        *std::to_chars(value, listen_pid_.data() + listen_pid_.size() - 1, ::getpid()).ptr = '\0';
        ::execve(program_.c_str(), arguments_.data(), environment_.data());
        return errno;
    }

 private:
    std::string program_;
    std::vector<std::string> texts_;
    std::vector<char*> environment_;
    std::array<char*, 2> arguments_{};
    std::array<char, 32> listen_pid_{};
};

void reset_signals() noexcept {
    for (int number = 1; number < NSIG; ++number) {
        std::signal(number, SIG_DFL);  // fails for those that cannot be changed
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// 0 and the two numbers above are what the server is to have, and no other.
bool arrange_fds(int listener, int report) noexcept {
    const int parked_listener = ::fcntl(listener, F_DUPFD_CLOEXEC, k_parking);
    const int parked_report = ::fcntl(report, F_DUPFD_CLOEXEC, k_parking);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const int parked_null = ::fcntl(null, F_DUPFD_CLOEXEC, k_parking);
    if (parked_listener < 0 || parked_report < 0 || parked_null < 0) {
        return false;
    }
    for (const int standard : {0, 1, 2}) {
        if (::dup2(parked_null, standard) < 0) {
            return false;
        }
    }
    return ::dup2(parked_listener, k_listen_fd) >= 0 && ::dup3(parked_report, k_report_fd, O_CLOEXEC) >= 0 &&
           ::close_range(k_report_fd + 1, ~0U, 0) == 0;
}

[[noreturn]] void become_server(ServerImage& image, int listener, int report) noexcept {
    int report_to = report;
    int error = 0;
    if (!arrange_fds(listener, report) || ::chdir("/") != 0) {
        error = errno;
    } else {
        report_to = k_report_fd;
        ::umask(022);
        reset_signals();
        error = image.exec();
    }
    // Nobody is left to tell if this fails; the reader then sees an early end.
    (void)!::write(report_to, &error, sizeof error);
    ::_exit(127);
}

/// The first child leaves the caller's session and has the server as an orphan.
void start_server(ServerImage& image, int listener) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw_errno("make", "a pipe");
    }
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) {
        throw_errno("fork for", image.program());
    }
    if (child == 0) {
        ::setsid();
        const pid_t server = ::fork();
        if (server == 0) {
            become_server(image, listener, writer.get());
        }
        const int error = errno;
        if (server < 0) {
            (void)!::write(writer.get(), &error, sizeof error);
        }
        ::_exit(0);
    }
    writer.reset();
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    int error = 0;
    ssize_t size = 0;
    while ((size = ::read(reader.get(), &error, sizeof error)) < 0 && errno == EINTR) {
    }
    if (size != 0) {
        throw Error("start", image.program(), size == sizeof error ? error : EIO);
    }
}

}  // namespace

void activate_self(const Activation& a) {
    const std::string path = a.directory.socket(a.id);
    const sockaddr_un address = address_of(path);
    const Fd lock = a.directory.lock(LOCK_EX, a.deadline);
    if (answers(address)) {
        return;
    }
    ServerImage image(a, path);
    const Fd listener = listen_at(address);
    try {
        start_server(image, listener.get());
    } catch (const Error&) {
        ::unlink(path.c_str());
        throw;
    }
}

}  // namespace quicken
