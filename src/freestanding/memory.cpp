// The functions that a compiler calls without being asked. The empty asm
// statements keep it from finding these very functions in their loops.
#include <cstddef>

extern "C" {

void* memcpy(void* to, const void* from, std::size_t size) {
    auto* out = static_cast<char*>(to);
    const auto* in = static_cast<const char*>(from);
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = in[i];
        asm volatile("");
    }
    return to;
}

void* memmove(void* to, const void* from, std::size_t size) {
    auto* out = static_cast<char*>(to);
    const auto* in = static_cast<const char*>(from);
    if (out < in) return memcpy(to, from, size);
    for (std::size_t i = size; i > 0; --i) {
        out[i - 1] = in[i - 1];
        asm volatile("");
    }
    return to;
}

void* memset(void* to, int value, std::size_t size) {
    auto* out = static_cast<char*>(to);
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = static_cast<char>(value);
        asm volatile("");
    }
    return to;
}

int memcmp(const void* left, const void* right, std::size_t size) {
    const auto* a = static_cast<const unsigned char*>(left);
    const auto* b = static_cast<const unsigned char*>(right);
    for (std::size_t i = 0; i < size; ++i) {
        if (a[i] != b[i]) return a[i] - b[i];
    }
    return 0;
}

std::size_t strlen(const char* text) {
    std::size_t length = 0;
    while (text[length] != '\0') {
        ++length;
        asm volatile("");
    }
    return length;
}
}
