#include "environment.hpp"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#define QUICKEN_EXPORT __attribute__((visibility("default")))

namespace quicken::interp {

namespace {

constexpr std::uint32_t k_slots = 1024;  // a power of 2
constexpr std::uint32_t k_bytes = 32U << 10;

// Constant-initialized: other libraries' constructors run before ours would.
std::atomic<bool> noting{true};
std::atomic<bool> overflowed{false};
std::atomic<std::uint32_t> used{0};  // bytes of `names`
char names[k_bytes];
std::atomic<const char*> slots[k_slots];

bool is_equal(const char* text, const char* name, std::size_t length) {
    return strncmp(text, name, length) == 0 && text[length] == '\0';
}

/// Bytes that two threads take at once for the same name are both used: it is listed twice.
const char* copy_of(const char* name, std::size_t length) {
    const auto size = static_cast<std::uint32_t>(length) + 1;
    if (length >= k_bytes || used.load(std::memory_order_relaxed) + size > k_bytes) return nullptr;
    const std::uint32_t at = used.fetch_add(size);
    if (at + size > k_bytes) {
        used.store(k_bytes);
        return nullptr;
    }
    memcpy(names + at, name, length);
    return names + at;
}

void note(const char* name) {
    const std::size_t length = strlen(name);
    std::uint32_t hash = 2166136261U;  // FNV-1a
    for (std::size_t i = 0; i < length; ++i) hash = (hash ^ static_cast<unsigned char>(name[i])) * 16777619U;
    const char* copy = nullptr;
    for (std::uint32_t i = 0; i < k_slots / 2; ++i) {
        std::atomic<const char*>& slot = slots[(hash + i) % k_slots];
        const char* found = slot.load(std::memory_order_acquire);
        if (found == nullptr) {
            if (copy == nullptr) copy = copy_of(name, length);
            if (copy == nullptr) break;
            if (slot.compare_exchange_strong(found, copy, std::memory_order_acq_rel)) return;
        }
        if (is_equal(found, name, length)) return;
    }
    overflowed.store(true);
}

char* value_of(const char* name) {
    if (noting.load(std::memory_order_relaxed)) note(name);
    const std::size_t length = strlen(name);
    char** entries = __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
    if (entries == nullptr || length == 0) return nullptr;
    for (; char* entry = __atomic_load_n(entries, __ATOMIC_RELAXED); ++entries) {
        if (strncmp(entry, name, length) == 0 && entry[length] == '=') return entry + length + 1;
    }
    return nullptr;
}

}  // namespace

void note_variables(bool wanted) {
    noting.store(wanted);
}

const char* noted_variables(std::size_t& size) {
    size = used.load();
    return overflowed.load() ? nullptr : names;
}

}  // namespace quicken::interp

extern "C" QUICKEN_EXPORT char* getenv(const char* name) noexcept {
    return quicken::interp::value_of(name);
}

extern "C" QUICKEN_EXPORT char* secure_getenv(const char* name) noexcept {
    return getauxval(AT_SECURE) != 0 ? nullptr : quicken::interp::value_of(name);
}

/// What programs linked before glibc 2.17 call.
extern "C" QUICKEN_EXPORT char* __secure_getenv(const char* name) noexcept {
    return secure_getenv(name);
}
