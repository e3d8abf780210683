// A template's key: what its prelude has read of the client that it was made
// for (common/trace.hpp). It is right for every client of whom that says the
// same. The spare that meets a client asks, and so does the supervisor, which
// finds another template for one whom it does not fit.
//
// Needs the C library alone: it is a part of the hook too.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/wire.hpp"

namespace quicken {

/// Alike for all clients of a server, as they are part of its instance (target.cpp). A pattern with a '*' at
/// its end is a prefix.
inline constexpr char k_settled_variables[] = "PYTHON* LD_* LC_* LANG LANGUAGE TZ GLIBC_TUNABLES MALLOC_*";

/// May differ if a prelude has read the environment as a whole, and not these by name: a shell changes them
/// with every command, a terminal with every window, and quicken's own are for quicken.
inline constexpr char k_passing_variables[] =
    "_ SHLVL OLDPWD WINDOWID QUICKEN_DISABLE QUICKEN_VERBOSE QUICKEN_ACTIVATION QUICKEN_IDLE_TIMEOUT "
    "QUICKEN_LOG_FILE INSTA_DISABLE INSTA_TIMEOUT INSTA_CMD";

/// A client's request, whose body is NUL-terminated, and a link in /proc to its working directory.
struct ClientView {
    const wire::Request& request;
    const char* body;
    const char* directory;
};

class Key {
 public:
    Key() = default;
    ~Key();
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;

    /// Once. `records` must be complete, and outlive the key. False if there is no memory.
    bool read(const char* records, std::size_t size);

    /// Writes where difference() will: after a fork those pages are the caller's own then.
    void prepare();

    /// nullptr, or what is different for this client, in words that live until the next call. Allocates
    /// nothing; tens of variables take a few µs.
    const char* difference(const ClientView& client);

 private:
    struct Variable {
        const char* name;
        std::size_t name_length;
        const char* value;  // nullptr: not set
        std::size_t value_length;
    };
    struct Text {
        const char* bytes = nullptr;  // nullptr: it was not read
        std::size_t length = 0;
    };

    void add(const char* entry, std::size_t length);
    std::uint32_t& slot_of(std::uint32_t hash, const char* name, std::size_t length);
    bool entry_fits(const char* entry, std::size_t length, std::uint32_t hash);
    const char* other_variable(const ClientView& client);
    const char* other_terminal(const wire::Request& request);
    const char* other_place(const ClientView& client);
    const char* differs(const char* what, const char* name, std::size_t length);

    Variable* variables_ = nullptr;
    std::uint32_t variable_count_ = 0;
    bool everything_ = false;
    std::uint32_t* slots_ = nullptr;  // of the variables by hash: index + 1, or 0
    std::uint32_t slot_count_ = 0;    // a power of 2
    unsigned char* seen_ = nullptr;   // of each variable
    Text terminal_, size_, cwd_, name_;
    char reason_[512] = "";
};

}  // namespace quicken
