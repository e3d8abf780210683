#include "common/instance.hpp"

#include <string_view>

#include "common/sys.hpp"
#include "common/text.hpp"
#include "common/version.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace quicken {

namespace {

using std::string_view;

/// Hashes texts so that no two sequences of them run into each other.
class Hash {
 public:
    Hash() { XXH3_128bits_reset(&state_); }

    void add(const void* data, std::size_t size) {
        const std::uint64_t length = size;
        XXH3_128bits_update(&state_, &length, sizeof length);
        XXH3_128bits_update(&state_, data, size);
    }

    void add(string_view text) { add(text.data(), text.size()); }

    wire::Instance digest() const {
        XXH128_canonical_t bytes;
        XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(&state_));
        wire::Instance instance;
        static_assert(sizeof bytes.digest == sizeof instance.bytes);
        for (std::size_t i = 0; i < sizeof instance.bytes; ++i) instance.bytes[i] = bytes.digest[i];
        return instance;
    }

 private:
    XXH3_state_t state_;
};

/// A sum of hashes: the same for the same members in any order.
class Unordered {
 public:
    void add(const void* data, std::size_t size) {
        const XXH128_hash_t hash = XXH3_128bits(data, size);
        values_[0] += hash.low64;
        values_[1] += hash.high64;
        ++values_[2];
    }

    void add_to(Hash& hash) const { hash.add(values_, sizeof values_); }

 private:
    std::uint64_t values_[3] = {};
};

/// Settings that an interpreter or its C library reads only at its start.
bool is_start_setting(const char* entry) {
    for (const string_view prefix :
         {"PYTHON", "LD_", "LC_", "LANG=", "LANGUAGE=", "TZ=", "GLIBC_TUNABLES=", "MALLOC_"}) {
        if (starts_with(entry, prefix)) return true;
    }
    return false;
}

void add_all(const gid_t* groups, int count, Unordered& sum) {
    for (int i = 0; i < count; ++i) sum.add(&groups[i], sizeof groups[i]);
}

/// NGROUPS_MAX of them, which hardly anybody has: see add_groups().
[[gnu::noinline]] void add_many_groups(Unordered& sum) {
    gid_t groups[65536];
    add_all(groups, sys::getgroups(65536, groups), sum);
}

void add_groups(Unordered& sum) {
    gid_t groups[64];
    const int count = sys::getgroups(64, groups);
    if (count < 0) return add_many_groups(sum);
    add_all(groups, count, sum);
}

}  // namespace

wire::Instance instance_of(const Target& target, char** environment) {
    return instance_of(target, environment, sys::getegid());
}

wire::Instance instance_of(const Target& target, char** environment, gid_t group) {
    Unordered settings;
    for (char** entry = environment; *entry != nullptr; ++entry) {
        if (!is_start_setting(*entry)) continue;
        const string_view text = *entry;
        settings.add(text.data(), text.size());
    }
    Unordered groups;
    add_groups(groups);

    Hash hash;
    hash.add(k_version);
    hash.add(&wire::k_protocol, sizeof wire::k_protocol);
    hash.add(&target.what, sizeof target.what);
    hash.add(target.name);
    hash.add(target.directory);
    hash.add(target.interpreter);
    hash.add(target.options);
    hash.add(&target.fork_point, sizeof target.fork_point);
    hash.add(&group, sizeof group);
    settings.add_to(hash);
    groups.add_to(hash);
    return hash.digest();
}

void format(const wire::Instance& instance, char (&text)[33]) {
    constexpr char k_digits[] = "0123456789abcdef";
    char* out = text;
    for (const std::uint8_t byte : instance.bytes) {
        *out++ = k_digits[byte >> 4U];
        *out++ = k_digits[byte & 0xfU];
    }
    *out = '\0';
}

}  // namespace quicken
