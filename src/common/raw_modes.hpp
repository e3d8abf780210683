// The modes that a client gives to its terminal while its command uses another
// one, and the way back from them.
//
// What they take away is kept in the terminal itself, in two bytes of c_cc that
// no version of Linux uses (17 and 18; NCCS is 19, VEOL2 = 16 the last in use). So whoever
// comes upon them (another client on the same terminal, the leader of a session
// whose client was killed) can tell what they were before.
#pragma once

#include <asm/termbits.h>

#include <cstddef>
#include <cstdint>

#include "common/wire.hpp"

namespace quicken::raw_modes {

/// Indices of wire::Terminal::modes.
inline constexpr std::size_t k_input = 0, k_output = 1, k_local = 3;

struct Flag {
    std::size_t index;
    std::uint32_t bit;
};

inline constexpr Flag k_taken[] = {
    {k_input, IGNBRK}, {k_input, BRKINT}, {k_input, PARMRK}, {k_input, ISTRIP}, {k_input, INLCR},
    {k_input, IGNCR},  {k_input, ICRNL},  {k_input, IXON},   {k_local, ECHO},   {k_local, ECHONL},
    {k_local, ICANON}, {k_local, ISIG},   {k_local, IEXTEN}, {k_output, OPOST},
};
inline constexpr std::size_t k_first_byte = 17;
inline constexpr unsigned k_bits_a_byte = 7;
inline constexpr std::uint8_t k_mark = 0x80;

/// Everything that is typed comes as it is, nothing is echoed, no signal sent. `lines`: output goes on being
/// processed.
inline wire::Terminal of(const wire::Terminal& modes, bool lines) {
    wire::Terminal raw = modes;
    raw.characters[k_first_byte] = raw.characters[k_first_byte + 1] = k_mark;
    for (unsigned i = 0; i < sizeof k_taken / sizeof k_taken[0]; ++i) {
        const Flag& flag = k_taken[i];
        if ((modes.modes[flag.index] & flag.bit) == 0) continue;
        raw.characters[k_first_byte + i / k_bits_a_byte] |=
            static_cast<std::uint8_t>(1U << i % k_bits_a_byte);
        if (flag.index != k_output || !lines) raw.modes[flag.index] &= ~flag.bit;
    }
    raw.characters[VMIN] = 1;
    raw.characters[VTIME] = 0;
    return raw;
}

/// False if they are no such modes; else they become what they were before.
inline bool undo(wire::Terminal& modes) {
    std::uint8_t* kept = modes.characters + k_first_byte;
    if ((kept[0] & kept[1] & k_mark) == 0 || (modes.modes[k_local] & ICANON) != 0) return false;
    for (unsigned i = 0; i < sizeof k_taken / sizeof k_taken[0]; ++i) {
        if ((kept[i / k_bits_a_byte] >> i % k_bits_a_byte & 1) != 0)
            modes.modes[k_taken[i].index] |= k_taken[i].bit;
    }
    kept[0] = kept[1] = 0;
    return true;
}

}  // namespace quicken::raw_modes
