// From what the kernel leaves on the stack to the client.
#include <elf.h>

#include "common/target.hpp"
#include "main.hpp"
#include "process.hpp"

namespace {

/// A note (elf(5)), which stands before the code: by this name another client knows that a file is one.
struct Note {
    unsigned name_size, description_size, type;
    char name[20];
};
[[gnu::used, gnu::section(".note.quicken")]] alignas(4) constexpr Note k_note{17, 0, 1, "quicken's client"};
static_assert(quicken::k_client_sign == "quicken's client");

}  // namespace

extern "C" [[noreturn, gnu::used]] void quicken_start(unsigned long* stack) {
    quicken::client::Process process{};
    process.argc = stack[0];
    process.argv = reinterpret_cast<char**>(stack + 1);
    process.environment = process.argv + process.argc + 1;
    char** end = process.environment;
    while (*end != nullptr) ++end;
    for (auto* entry = reinterpret_cast<unsigned long*>(end + 1); entry[0] != AT_NULL; entry += 2) {
        if (entry[0] == AT_EUID) process.user = static_cast<uid_t>(entry[1]);
        if (entry[0] == AT_EGID) process.group = static_cast<gid_t>(entry[1]);
    }
    quicken::client::run(process);
}
