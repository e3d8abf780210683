// From the request to the commit point: will the server run the program?
#pragma once

#include <sys/types.h>

#include <string_view>

#include "process.hpp"
#include "replies.hpp"

namespace quicken::client {

struct Answer {
    enum class Kind {
        started,  // the command `pid` runs
        retry,    // the server ran nothing; connect anew
        plain,    // the server ran nothing and will not; `reason` says why
    };
    Kind kind;
    pid_t pid;
    pid_t group;              // its process group
    std::string_view reason;  // of started: what is not as in a plain run. Valid as long as the reader
                              // receives nothing more
    bool cold;                // the server had to make its template
};

/// Does not return if the server says that the program must not run.
Answer await_answer(Run& run, ReplyReader& replies);

}  // namespace quicken::client
