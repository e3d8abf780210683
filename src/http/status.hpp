// What a status is called.
#pragma once

#include <string_view>

namespace quicken::http {

struct Status {
    unsigned code;
    std::string_view reason;
    std::string_view explanation;  // may be empty
};

/// Code 0 and "Unknown" for one without a name.
const Status& status_of(unsigned code);

}  // namespace quicken::http
