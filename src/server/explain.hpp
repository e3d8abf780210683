// What `quickenctl explain` shows of a server: an object in JSON, whose keys quickenctl(1) documents.
#pragma once

#include <string>

namespace quicken::server {

class Supervisor;

/// UTF-8; bytes of paths and values that are none become U+FFFD.
std::string explain(const Supervisor& supervisor);

}  // namespace quicken::server
