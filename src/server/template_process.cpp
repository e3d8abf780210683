#include "template_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "common/error.hpp"
#include "common/instance.hpp"
#include "common/target.hpp"
#include "common/text.hpp"
#include "message.hpp"

namespace quicken::server {

namespace {

/// A copy of `fd` where the program's own numbers do not reach; closed by exec unless the child says
/// otherwise.
Fd high_copy(int fd) {
    Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, control::k_first_fd));
    if (!copy) throw_errno("copy", "an fd");
    return copy;
}

/// A shell script in the interpreter's place (pyenv's shims) decides anew at every start which Python it is.
void check_interpreter(const std::string& path) {
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) throw_errno("open", path);
    std::array<char, 4> magic{};
    if (read(file.get(), magic.data(), magic.size()) < 0) throw_errno("read", path);
    if (magic[0] == '#' && magic[1] == '!') {
        throw Error(path +
                    " is a script that chooses an interpreter; name the interpreter itself with --python");
    }
    if (std::memcmp(magic.data(), "\177ELF", magic.size()) != 0) throw Error(path + " is not a program");
}

/// Everything that the child needs, made before the fork: between fork and exec nothing is allocated.
struct Plan {
    std::string interpreter;
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::vector<char*> argument_pointers;
    std::vector<char*> environment_pointers;
    std::array<Fd, 8> inherited;  // control, handoff, listener, board, session, changes, requests, alarm
    Fd library;                   // if the hook's path cannot be said in LD_PRELOAD
    int directory = -1;
    mode_t umask = 0;
    rlimit fd_limit{};
};

std::string code_of(const Program& program) {
    if (program.request.what != wire::What::entry) return {};
    std::string code(2 * wire::k_max_name + 512, '\0');
    if (!entry_code(program.name(), code.data(), code.size())) {
        throw Error(std::string(program.name()) + " is not of the form MODULE:FUNCTION");
    }
    code.resize(std::strlen(code.c_str()));
    return code;
}

/// As control.hpp lays them out.
std::vector<std::string> plan_arguments(const Program& program, const Advance& advance) {
    char instance[33];
    format(program.request.instance, instance);
    std::vector<std::string> arguments{std::string(program.interpreter())};
    for (const char* option : program.options()) arguments.emplace_back(option);
    for (std::string text :
         {std::string(control::k_guard_option), std::string(control::k_guard_code),
          std::string(program.what()), std::string(program.name()), std::string(instance), code_of(program),
          advance.modules(), advance.learning(), std::string(program.fork_point())}) {
        arguments.push_back(std::move(text));
    }
    // Only sys.argv[0]: the rest is this client's own, and may be secret.
    const bool shared = program.request.what == wire::What::python;
    arguments.emplace_back(shared ? "-" : program.arguments().at(0));
    return arguments;
}

/// How LD_PRELOAD names the hook. Blanks and colons end a name there (ld.so(8)): such a path goes by an fd.
std::string preload_name(Plan& plan, const std::string& library) {
    if (library.find_first_of(" :") == std::string::npos) return library;
    const Fd file(open(library.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) throw_errno("open", library);
    plan.library = high_copy(file.get());
    return fmt::format("/proc/self/fd/{}", plan.library.get());
}

std::vector<std::string> plan_environment(Plan& plan, const Program& program, control::Rung rung,
                                          const std::string& library) {
    std::vector<std::string> environment;
    for (const char* entry : program.environment()) {
        if (std::strncmp(entry, "LD_PRELOAD=", 11) != 0) environment.emplace_back(entry);
    }
    const char* others = program.variable("LD_PRELOAD");
    environment.push_back("LD_PRELOAD=" + preload_name(plan, library) +
                          (others != nullptr ? std::string(":") + others : ""));
    const wire::Request& request = program.request;
    environment.push_back(fmt::format(
        "{}={},{},{},{},{},{},{},{},{},{},{},{},{}", control::k_environment, plan.inherited[0].get(),
        plan.inherited[1].get(), plan.inherited[2].get(), plan.inherited[3].get(), plan.inherited[4].get(),
        plan.library.get(), static_cast<unsigned>(rung), plan.inherited[5].get(), plan.inherited[6].get(),
        plan.inherited[7].get(), request.terminal & 7U, request.modes.rows, request.modes.columns));
    return environment;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> found;
    for (std::string& text : texts) found.push_back(text.data());
    found.push_back(nullptr);
    return found;
}

[[noreturn]] void become_template(const Plan& plan, pid_t supervisor, int error_pipe) {
    auto fail = [error_pipe] {
        const int error = errno;
        [[maybe_unused]] const ssize_t written = write(error_pipe, &error, sizeof error);
        _exit(127);
    };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &standard, nullptr);
    // Ends with the supervisor, also while the prelude does not look at its control socket.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor) _exit(127);
    setpgid(0, 0);
    const int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
    if (null > 2) close(null);
    umask(plan.umask);
    if (setrlimit(RLIMIT_NOFILE, &plan.fd_limit) != 0) fail();
    if (fchdir(plan.directory) != 0) fail();
    for (const Fd& fd : plan.inherited) fcntl(fd.get(), F_SETFD, 0);  // EBADF where there is none
    if (plan.library) fcntl(plan.library.get(), F_SETFD, 0);
    execve(plan.interpreter.c_str(), plan.argument_pointers.data(), plan.environment_pointers.data());
    fail();
    _exit(127);
}

/// Waits for the exec: its end closes the pipe, its failure writes errno into it.
pid_t start(const Plan& plan) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("make", "a pipe");
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t supervisor = getpid();
    const pid_t pid = fork();
    if (pid < 0) throw_errno("fork for", plan.interpreter);
    if (pid == 0) become_template(plan, supervisor, writing.get());
    writing.reset();
    int error = 0;
    if (read(reading.get(), &error, sizeof error) == static_cast<ssize_t>(sizeof error)) {
        waitpid(pid, nullptr, 0);
        throw Error("start", plan.interpreter, error);
    }
    return pid;
}

}  // namespace

TemplateProcess::TemplateProcess(Loop& loop, const Program& program, control::Rung rung,
                                 const Inheritance& inheritance, const std::string& library,
                                 const Advance& advance, Received received)
    : rung_(rung), received_(std::move(received)) {
    Plan plan;
    plan.interpreter = program.interpreter();
    check_interpreter(plan.interpreter);
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        throw_errno("make", "a socket pair");
    control_ = Fd(ends[0]);
    const Fd theirs(ends[1]);
    plan.inherited = {
        high_copy(theirs.get()),         high_copy(inheritance.handoff),
        high_copy(inheritance.listener), high_copy(inheritance.board),
        high_copy(inheritance.session),  inheritance.changes < 0 ? Fd() : high_copy(inheritance.changes),
        high_copy(inheritance.requests), high_copy(inheritance.alarm)};
    plan.directory = program.directory.get();
    plan.umask = program.umask;
    plan.fd_limit = inheritance.fd_limit;
    plan.arguments = plan_arguments(program, advance);
    plan.environment = plan_environment(plan, program, rung, library);
    plan.argument_pointers = pointers(plan.arguments);
    plan.environment_pointers = pointers(plan.environment);
    pid_ = start(plan);
    readable_ = loop.on_io(control_.get(), EPOLLIN, [this](std::uint32_t) { receive_one(); });
}

TemplateProcess::~TemplateProcess() {
    if (pid_ > 0) kill(pid_, SIGKILL);
}

bool TemplateProcess::order_spare(std::uint32_t slot, bool session, bool passed) const {
    control::Message message{};
    message.kind = control::MessageKind::fork_order;
    message.slot = slot;
    message.session = session ? 1 : 0;
    message.passed = passed ? 1 : 0;
    return send(control_.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(sizeof message);
}

bool TemplateProcess::receive_one() {
    Packet packet = receive_packet(control_.get());
    if (packet.size == 0) readable_.enable(false);  // its end is told by SIGCHLD
    if (!packet.complete()) return false;
    packet.message.text[control::k_text - 1] = '\0';
    if (packet.lost && packet.message.kind == control::MessageKind::ready) {
        packet.message.kind = control::MessageKind::unfit;
        TextBuffer(packet.message.text).append("what it has read was lost: the server has no room for an fd");
    }
    // May destroy this object.
    const Received received = received_;
    received(packet.message, std::move(packet.fds[0]));
    return true;
}

void TemplateProcess::drain(int milliseconds) {
    pollfd ready{control_.get(), POLLIN, 0};
    if (poll(&ready, 1, milliseconds) > 0) receive_one();
}

}  // namespace quicken::server
