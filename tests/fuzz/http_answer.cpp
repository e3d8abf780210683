// libFuzzer's target for what a back end may answer: the same bytes in one
// piece and in many must mean the same.
//
// The first byte's low 7 bits seed the sizes of the pieces, the high bit says
// that the request was HEAD.
#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <tuple>

#include "http/proxy_answer.hpp"

namespace {

using namespace quicken::http;

/// Of a whole answer. What is bad may be seen sooner in one piece than in many: so that is one with what is
/// cut.
struct Meaning {
    bool complete = false;
    unsigned status = 0;
    std::string fields;
    std::string body;
    std::string rest;

    auto all() const { return std::tie(complete, status, fields, body, rest); }
};

/// A proxy's use of it: interim answers are left out.
Meaning read(std::string_view bytes, bool head_only, std::uint32_t seed) {
    AnswerParser parser(head_only);
    Meaning meaning;
    bool good = true;
    while (good && !bytes.empty()) {
        seed = seed * 1664525U + 1013904223U;
        const std::size_t piece = seed == 1013904223U ? bytes.size() : 1 + (seed >> 16U) % 20;
        good = parser.feed(bytes.substr(0, piece));
        bytes.remove_prefix(std::min(piece, bytes.size()));
        while (good && parser.is_done() && parser.status() < 200 && parser.status() != 101) {
            parser.restart();
            good = parser.feed({});
        }
        meaning.body += parser.take_body();
    }
    if (!good || !(parser.is_done() || parser.feed_end())) return {};
    meaning.complete = true;
    meaning.status = parser.status();
    meaning.fields = parser.take_head().fields;
    meaning.rest = parser.take_rest();
    return meaning;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return -1;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const bool head_only = (*data & 0x80U) != 0;
    const Meaning whole = read(bytes, head_only, 0);
    const Meaning pieces = read(bytes, head_only, 1 + (*data & 0x7fU));
    if (whole.all() == pieces.all()) return 0;
    fmt::print(stderr, "http_answer: {} {} {} and {} {} {}\n", whole.complete, whole.fields, whole.body,
               pieces.complete, pieces.fields, pieces.body);
    std::abort();
}
