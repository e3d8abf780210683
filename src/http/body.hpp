// A request's body as it is collected: in memory, past a size in a file
// without a name.
#pragma once

#include <string_view>

#include "http/message.hpp"

namespace quicken::http {

class BodyCollector {
 public:
    /// Bytes kept in memory.
    explicit BodyCollector(std::uint64_t spool_size) : spool_size_(spool_size) {}

    /// False, with errno: the file cannot be written.
    bool add(std::string_view bytes);
    std::uint64_t size() const { return body_.size; }
    /// Nothing, with errno, if the file cannot be read back.
    std::optional<Body> finish();

 private:
    bool spool();

    std::uint64_t spool_size_;
    Body body_;
};

}  // namespace quicken::http
