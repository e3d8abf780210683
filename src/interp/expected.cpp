#include "expected.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "client_environment.hpp"
#include "output.hpp"
#include "template.hpp"

namespace quicken::interp {

namespace {

constexpr std::size_t k_most = 32U << 10;  // bytes of an environment

/// Shared by the template and all that is forked from it. Whoever reads it while a command writes gets a
/// mixture, which no client is like: it costs that spare its lead, and nothing else. So does a command that
/// is killed while it writes: nobody writes any more, and what is there stays.
struct Shared {
    std::atomic<std::uint32_t> busy;  // a command writes
    std::uint32_t size;               // of the environment; 0: there was no client yet, or it was too large
    StreamKind streams[3];
    char environment[k_most];
};

Shared* shared = nullptr;
char* expected = nullptr;  // strings end to end, as in a request
std::size_t expected_size = 0;
StreamKind fitted[3] = {};      // what Python's streams are right for
blksize_t fitted_size[3] = {};  // st_blksize of that: the size of their buffers
StreamKind actual[3] = {};

void expect_environment() {
    const std::uint32_t size = shared->size;
    if (size == 0 || size > k_most) return;
    auto* copy = static_cast<char*>(malloc(size + 1));
    if (copy == nullptr) return;
    memcpy(copy, shared->environment, size);
    copy[size - 1] = '\0';
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < size; ++i) count += copy[i] == '\0' ? 1 : 0;
    char** strings = environment_strings(copy, size, count);
    if (strings == nullptr) return free(copy);
    const Ref environment = environment_dict(strings);
    free(strings);
    const Ref taken = environment ? call_bootstrap("expect_environ", environment.get()) : Ref();
    if (!taken) py.PyErr_Clear();
    if (!taken || py.PyObject_IsTrue(taken.get()) != 1) return free(copy);
    expected = copy;
    expected_size = size;
}

blksize_t block_size_of(int fd) {
    struct stat status {};
    return fstat(fd, &status) == 0 ? status.st_blksize : 0;
}

/// Something of this kind at `fd`, whatever was there. False if there is none.
bool put_in_place(StreamKind kind, int fd) {
    if (kind == StreamKind::terminal)
        return template_.session.terminal >= 0 && dup2(template_.session.terminal, fd) == fd;
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const bool placed = null >= 0 && dup2(null, fd) == fd;
    if (null > 2) close(null);
    return placed;
}

void expect_streams() {
    for (int fd : {0, 1, 2}) {
        const StreamKind kind = shared->streams[fd];
        if (kind != StreamKind::null_device && kind != StreamKind::terminal) continue;
        if (!put_in_place(kind, fd)) continue;
        const Ref number(py.PyLong_FromLong(1L << fd));
        const bool fits = static_cast<bool>(call_bootstrap("fit_streams", number.get()));
        if (!fits) py.PyErr_Clear();
        fitted[fd] = fits ? kind : StreamKind::other;  // which no client's is like
        fitted_size[fd] = block_size_of(fd);
    }
}

}  // namespace

void prepare_expected() {
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) shared = static_cast<Shared*>(memory);
}

void expect_client() {
    if (shared == nullptr) return;
    expect_environment();
    expect_streams();
}

bool has_expected_environment(const Received& received) {
    return expected != nullptr && received.request.environ_length == expected_size &&
           memcmp(received.environment(), expected, expected_size) == 0;
}

unsigned unlike_streams() {
    unsigned found = 0;
    for (int fd : {0, 1, 2}) {
        actual[fd] = stream_kind(fd);
        const bool alike = actual[fd] == fitted[fd] && actual[fd] != StreamKind::other &&
                           (fitted[fd] == StreamKind::as_in_prelude || block_size_of(fd) == fitted_size[fd]);
        if (alike) continue;
        found |= 1U << fd;
        if (fitted[fd] != StreamKind::as_in_prelude) found |= 8U << fd;
    }
    return found;
}

void note_client(const Received& received) {
    if (shared == nullptr || shared->busy.exchange(1) != 0) return;
    const wire::Request& request = received.request;
    const bool fits = request.environ_length <= k_most;
    memcpy(shared->streams, actual, sizeof actual);
    // Also if it is what we expected: another command may have written since.
    if (fits) memcpy(shared->environment, received.environment(), request.environ_length);
    shared->size = fits ? request.environ_length : 0;
    shared->busy.store(0);
}

}  // namespace quicken::interp
