#include "questions.hpp"

#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include <atomic>

#define QUICKEN_EXPORT __attribute__((visibility("default")))

struct termios;

namespace quicken::interp {

namespace {

std::atomic<unsigned> asked{0};

bool is_news(int fd, unsigned question) {
    return fd >= 0 && fd <= 2 && (asked.load(std::memory_order_relaxed) & question << fd) == 0;
}

void note(int fd, unsigned question) {
    if (is_news(fd, question)) asked.fetch_or(question << fd);
}

/// GNU readline takes its keys from the terminal's settings when it is imported, and again whenever it reads
/// a line (rltty.c); terminfo, which it uses, notes them, and again when curses takes the screen
/// (lib_newterm.c). Their first answer does not last.
bool asks_again(const void* caller) {
    Dl_info library{};
    if (dladdr(caller, &library) == 0 || library.dli_fname == nullptr) return false;
    const char* slash = strrchr(library.dli_fname, '/');
    const char* file = slash != nullptr ? slash + 1 : library.dli_fname;
    return strstr(file, "readline") != nullptr || strncmp(file, "libtinfo", 8) == 0 ||
           strncmp(file, "libncurses", 10) == 0;
}

/// The C library's own, which this one stands before.
template <typename Function>
Function next(std::atomic<Function>& known, const char* name) {
    Function function = known.load(std::memory_order_relaxed);
    if (function != nullptr) return function;
    function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
    known.store(function, std::memory_order_relaxed);
    return function;
}

}  // namespace

unsigned exchange_questions(unsigned known) {
    return asked.exchange(known);
}

}  // namespace quicken::interp

extern "C" QUICKEN_EXPORT int tcgetattr(int fd, termios* settings) noexcept {
    static std::atomic<int (*)(int, termios*)> known{nullptr};
    const void* caller = __builtin_return_address(0);
    if (quicken::interp::is_news(fd, quicken::interp::k_asked_settings) &&
        !quicken::interp::asks_again(caller))
        quicken::interp::note(fd, quicken::interp::k_asked_settings);
    return quicken::interp::next(known, "tcgetattr")(fd, settings);
}

extern "C" QUICKEN_EXPORT int tcsetattr(int fd, int when, const termios* settings) noexcept {
    static std::atomic<int (*)(int, int, const termios*)> known{nullptr};
    quicken::interp::note(fd, quicken::interp::k_asked_settings);
    return quicken::interp::next(known, "tcsetattr")(fd, when, settings);
}

extern "C" QUICKEN_EXPORT int ioctl(int fd, unsigned long request, ...) noexcept {
    static std::atomic<int (*)(int, unsigned long, void*)> known{nullptr};
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    if (request == TIOCGWINSZ) quicken::interp::note(fd, quicken::interp::k_asked_size);
    return quicken::interp::next(known, "ioctl")(fd, request, argument);
}
