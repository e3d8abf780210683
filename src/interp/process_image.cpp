#include "process_image.hpp"

#include <fcntl.h>
#include <linux/prctl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace quicken::interp {

namespace {

prctl_mm_map image;
bool known = false;

/// Value of field `number` (from 1, as in proc(5)) of /proc/self/stat, which is at least 3.
uint64_t field(const char* text, int number) {
    const char* at = strrchr(text, ')');  // the name in field 2 may have blanks
    for (int i = 2; at != nullptr && i < number; ++i) at = strchr(at + 1, ' ');
    return at != nullptr ? strtoull(at + 1, nullptr, 10) : 0;
}

uint64_t address(const char* pointer) {
    return reinterpret_cast<uintptr_t>(pointer);
}

}  // namespace

void note_process_image() {
    const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    char text[1024];
    const ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0) return;
    text[size] = '\0';
    image.start_code = field(text, 26);
    image.end_code = field(text, 27);
    image.start_stack = field(text, 28);
    image.start_data = field(text, 45);
    image.end_data = field(text, 46);
    image.start_brk = field(text, 47);
    image.exe_fd = static_cast<uint32_t>(-1);  // as it is
    known = image.start_code != 0 && image.start_brk != 0;
}

void set_process_image(const char* arguments, std::size_t arguments_size, const char* environment,
                       std::size_t environment_size) {
    if (!known) return;
    image.brk = reinterpret_cast<uintptr_t>(sbrk(0));
    image.arg_start = address(arguments);
    image.arg_end = address(arguments) + arguments_size;
    image.env_start = address(environment);
    image.env_end = address(environment) + environment_size;
    // Failure is a kernel without it: what ps shows is then the template's.
    prctl(PR_SET_MM, PR_SET_MM_MAP, &image, sizeof image, 0);
}

void set_process_name(const char* path) {
    const char* slash = strrchr(path, '/');
    prctl(PR_SET_NAME, slash != nullptr ? slash + 1 : path, 0, 0, 0);
}

}  // namespace quicken::interp
