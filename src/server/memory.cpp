#include "memory.hpp"

#include <unistd.h>

#include <fstream>
#include <string>

#include "supervisor.hpp"

namespace quicken::server {

namespace {

std::uint64_t memory_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    for (std::string word; file >> word;) {
        std::uint64_t kibibytes = 0;
        if (word == "Pss:" && file >> kibibytes) return kibibytes * 1024;
    }
    return 0;
}

}  // namespace

std::uint64_t proportional_memory(const Supervisor& supervisor) {
    std::uint64_t sum = memory_of(getpid());
    for (const pid_t pid : supervisor.variants().processes()) sum += memory_of(pid);
    return sum;
}

}  // namespace quicken::server
