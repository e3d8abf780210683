// Requests as bytes: where a head ends, what it says, and a body's chunks.
// Boost.Beast's parser decides what is HTTP; what it leaves open is decided
// here, on the strict side.
#pragma once

#include <memory>
#include <string_view>

#include "http/message.hpp"
#include "http/settings.hpp"

namespace quicken::http {

/// Why a request is not served.
struct Refusal {
    unsigned status = 0;  // 0: it is
    std::string_view message;
    explicit operator bool() const { return status != 0; }
};

/// Looks for the end of a head in bytes that come bit by bit, each of them once. Refuses early what would
/// else be waited for: a bare line feed, a folded line, a head that is too large.
class HeadScan {
 public:
    void reset() { *this = HeadScan(); }
    /// `input` begins where the head does, and has grown since the last call.
    Refusal scan(std::string_view input, const Settings& settings);
    /// Bytes of the head with its empty line; 0: not there yet.
    std::size_t size() const { return size_; }

 private:
    bool is_folded(std::string_view input) const;
    Refusal check_size(std::string_view input, const Settings& settings) const;

    std::size_t seen_ = 0;  // all line feeds before this are known
    std::size_t line_ = 0;  // where the line begins that is being looked at
    std::size_t size_ = 0;
};

/// `head` is a whole head and outlives `request`, of which all members that the head tells are set.
Refusal parse_head(std::string_view head, const Settings& settings, Request& request);

/// The chunks of one body.
class Chunks {
 public:
    explicit Chunks(const Settings& settings);
    ~Chunks();

    enum class Found { part, more, end, bad };
    /// Takes from the front of `input` what it says it has used. part: `part` is decoded bytes within
    /// `input`. more: it needs more than it was given. end: the last chunk and the trailer were seen.
    Found next(std::string_view input, std::size_t& used, std::string_view& part);

 private:
    struct Parser;
    bool too_long(std::string_view input) const;

    const Settings& settings_;
    std::unique_ptr<Parser> parser_;
};

}  // namespace quicken::http
