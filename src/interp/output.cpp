#include "output.hpp"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "questions.hpp"
#include "template.hpp"

namespace quicken::interp {

namespace {

constexpr int k_terminal_capacity = 1 << 12;  // bytes
constexpr int k_capacity = 1 << 20;  // bytes, of a pipe; an ordinary user's pipes may be that large (pipe(7))

/// One piece of the log, in the order in which the prelude has written them.
struct Piece {
    int fd;
    const char* data;
    std::size_t size;
};

int captures[3] = {-1, -1, -1};  // what is written to fd N is read here
Piece* pieces = nullptr;
std::size_t piece_count = 0;
bool printed[3] = {};     // also what is still in a buffer
long block_size[3] = {};  // of the template's streams, st_blksize: the sizes of Python's and C's buffers

bool is_terminal(int fd) {
    return (template_.terminal >> fd & 1) != 0;
}

/// At a number of ours, `fd` closed; -1 with errno set.
int raised(int fd) {
    if (fd < 0) return -1;
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, control::k_first_fd);
    close(fd);
    return moved;
}

bool place(int from, int fd) {
    return from == fd || (dup2(from, fd) == fd && close(from) == 0);
}

/// The read end's number, or -1.
int make_pipe(int fd) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
    fcntl(ends[1], F_SETPIPE_SZ, k_capacity);  // if refused it is smaller, see native_limit()
    const int source = raised(ends[0]);
    const int target = raised(ends[1]);
    return target >= 0 && place(target, fd) ? source : -1;
}

/// Bytes of C code's at once: where there are as many, it may have lost some.
long native_limit(int source) {
    const int capacity = source < 0 ? -1 : fcntl(source, F_GETPIPE_SZ);
    return capacity > 0 ? capacity / 2 : k_terminal_capacity;
}

/// A terminal as large as the clients', which changes nothing of what is written to it, at `fd`s that are
/// for writing alone. The master's number, or -1.
int make_terminal() {
    const int master = raised(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    const int unlocked = 0;
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) != 0) return -1;
    const winsize size{static_cast<unsigned short>(template_.rows),
                       static_cast<unsigned short>(template_.columns), 0, 0};
    termios modes{};
    if (ioctl(master, TIOCSWINSZ, &size) != 0 || ioctl(master, TCGETS, &modes) != 0) return -1;
    modes.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    if (ioctl(master, TCSETS, &modes) != 0) return -1;
    const int slave = raised(ioctl(master, TIOCGPTPEER, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    if (slave < 0) return -1;
    for (int fd = 0; fd < 3; ++fd) {
        if (is_terminal(fd) && dup2(slave, fd) != fd) return -1;
        if (is_terminal(fd)) captures[fd] = master;
    }
    close(slave);
    return master;
}

/// The list is kept for ever: its end would come after the interpreter's in a process that the program forks.
void keep_pieces(PyObject* list) {
    piece_count = static_cast<std::size_t>(py.PyList_Size(list)) / 2;
    pieces = static_cast<Piece*>(calloc(piece_count + 1, sizeof(Piece)));
    if (pieces == nullptr) give_up("no memory for what the prelude prints");
    for (std::size_t i = 0; i < piece_count; ++i) {
        const auto at = static_cast<Py_ssize_t>(2 * i);
        PyObject* data = py.PyList_GetItem(list, at + 1);
        pieces[i] = {static_cast<int>(py.PyLong_AsLong(py.PyList_GetItem(list, at))),
                     py.PyBytes_AsString(data), static_cast<std::size_t>(py.PyBytes_Size(data))};
        printed[pieces[i].fd] = true;
    }
}

/// In the words of a refusal, or nullptr.
const char* unlike_capture(int fd) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return "is closed";
    if ((flags & O_ACCMODE) == O_RDONLY) return "cannot be written to";
    if ((flags & O_NONBLOCK) != 0) return "does not block";
    struct stat status {};
    if (fstat(fd, &status) != 0) return "is closed";
    if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 7)) return "is /dev/full";
    if (status.st_blksize != block_size[fd]) return "has blocks of another size";
    pollfd asked{fd, POLLOUT, 0};
    if (poll(&asked, 1, 0) > 0 && (asked.revents & (POLLERR | POLLNVAL)) != 0) return "nobody reads";
    return nullptr;
}

bool write_piece(const Piece& piece) {
    for (std::size_t done = 0; done < piece.size;) {
        const ssize_t part = write(piece.fd, piece.data + done, piece.size - done);
        if (part >= 0) {
            done += static_cast<std::size_t>(part);
        } else if (errno != EINTR) {
            py.PyErr_SetFromErrno(*py.PyExc_OSError);
            return false;
        } else if (py.PyErr_CheckSignals() != 0) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool capture_streams() {
    int input[2];
    if (pipe2(input, O_CLOEXEC) != 0) return false;
    for (int* end : {&input[0], &input[1]}) *end = raised(*end);
    if (input[1] < 0 || !place(input[1], 0)) return false;
    close(input[0]);
    for (int fd : {1, 2}) {
        if (is_terminal(fd)) continue;
        captures[fd] = make_pipe(fd);
        if (captures[fd] < 0) return false;
    }
    if ((template_.terminal & 7) != 0 && make_terminal() < 0) return false;
    for (int fd : {0, 1, 2}) {
        struct stat status {};
        if (fstat(fd, &status) != 0) return false;
        block_size[fd] = status.st_blksize;
    }
    return true;
}

void describe_streams() {
    PyObject* names = template_.bootstrap.get();
    const Ref sources(py.PyTuple_New(3));
    const Ref limits(py.PyTuple_New(3));
    for (int fd : {0, 1, 2}) {
        py.PyTuple_SetItem(sources.get(), fd, py.PyLong_FromLong(captures[fd]));
        py.PyTuple_SetItem(limits.get(), fd, py.PyLong_FromLong(native_limit(captures[fd])));
    }
    const Ref terminals(py.PyLong_FromLong(template_.terminal & 7));
    const Ref rows(py.PyLong_FromLong(template_.rows));
    const Ref columns(py.PyLong_FromLong(template_.columns));
    py.PyDict_SetItemString(names, "SOURCES", sources.get());
    py.PyDict_SetItemString(names, "NATIVE_LIMITS", limits.get());
    py.PyDict_SetItemString(names, "TERMINALS", terminals.get());
    py.PyDict_SetItemString(names, "ROWS", rows.get());
    py.PyDict_SetItemString(names, "COLUMNS", columns.get());
}

StreamKind stream_kind(int fd) {
    struct stat status {};
    termios modes{};
    if (fstat(fd, &status) != 0) return StreamKind::other;
    const bool terminal = S_ISCHR(status.st_mode) && ioctl(fd, TCGETS, &modes) == 0;
    if (lseek(fd, 0, SEEK_CUR) < 0) {
        if (status.st_blksize == block_size[fd] && terminal == is_terminal(fd))
            return StreamKind::as_in_prelude;
        return terminal ? StreamKind::terminal : StreamKind::other;
    }
    const bool null = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);  // null(4)
    return null ? StreamKind::null_device : StreamKind::other;
}

const char* finish_capture() {
    static char reason[control::k_text];
    if (__fbufsize(stdout) >
        1) {  // it has been used, is not unbuffered, and on a terminal writes line by line
        const Ref number(py.PyLong_FromLong(1));
        if (!call_bootstrap("note_terminal", number.get())) give_up_with_exception("what the prelude prints");
    }
    text_of(call_bootstrap("unfit_output"), reason, sizeof reason);
    if (reason[0] != '\0') return reason;
    Ref log = call_bootstrap("printed_pieces");
    if (!log) return "what the prelude prints cannot be kept";
    keep_pieces(log.release());
    const Ref pending(call_bootstrap("pending_output"));
    for (int fd : {1, 2}) {
        const Ref number(py.PyLong_FromLong(fd));
        if (pending && py.PyDict_Contains(pending.get(), number.get()) == 1) printed[fd] = true;
    }
    if (__fpending(stdout) != 0) printed[1] = true;
    return nullptr;
}

void leave_streams() {
    for (int& source : captures) {
        for (int& other : captures) {
            if (&other != &source && other == source) other = -1;
        }
        if (source >= 0) close(source);
        source = -1;
    }
}

const char* check_output() {
    static char reason[control::k_text];
    for (int fd : {0, 1, 2}) {
        if (!printed[fd]) continue;
        constexpr const char* k_names[] = {"standard input", "standard output", "standard error"};
        if (const char* how = unlike_capture(fd)) {
            snprintf(reason, sizeof reason, "the prelude prints to %s, which %s", k_names[fd], how);
            return reason;
        }
    }
    return nullptr;
}

bool replay_output() {
    for (std::size_t i = 0; i < piece_count; ++i) {
        if (!write_piece(pieces[i])) return false;
    }
    return true;
}

}  // namespace quicken::interp
