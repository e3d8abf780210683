// The limits of what a client can make the engine use or wait for, and what is
// answered past them. A script may set each (server.NAME, or `quicken serve
// --set NAME=VALUE`); those that are times are in seconds, sizes in bytes.
#pragma once

#include <cstdint>
#include <string>

namespace quicken::http {

struct Settings {
    std::uint64_t max_target = 8 << 10;     // request line's target; 414
    std::uint64_t max_header = 32 << 10;    // whole head; 431
    std::uint64_t max_fields = 100;         // lines of it; 431
    std::uint64_t max_body = 50ULL << 20;   // where the reader of a body sets no limit of its own; 413
    std::uint64_t max_chunk_line = 256;     // a chunk's size line with extensions; 400
    std::uint64_t spool_size = 1 << 20;     // of a body kept in memory; more is in an unlinked file
    std::uint64_t max_connections = 20000;  // 503 with Retry-After: 1, and closed
    std::uint64_t require_length = 0;       // 1: POST and PUT without a length, and not chunked; 411
    std::uint64_t max_pending = 1000;       // requests that wait for a thread of the script; 503
    double handshake_timeout = 10;          // TLS; closed
    double header_timeout = 10;             // from the first byte of a head to its end; 408
    double body_timeout = 20;               // without a byte of the body; 408
    double body_min_rate = 100;             // bytes per second of body on average after body_timeout; 408
    double idle_timeout = 75;    // between requests, and before the first; closed without an answer
    double write_timeout = 30;   // without a byte that the client takes; closed
    double connect_timeout = 5;  // the proxy's, to its back end; 504
    double proxy_timeout = 60;   // the proxy's, without a byte from its back end; 504
    std::string server_version = "quicken";  // the field Server of answers
    double drain_timeout = 30;  // after a reload or stop, for requests that are being answered; closed
};

}  // namespace quicken::http
