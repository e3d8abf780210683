// What the driver is to run, as it comes on standard input: strings, each
// ended by a NUL. First rounds, pause (microseconds), seed, number of rows;
// then of each row: streams ("pipes" or "terminal"), runs in a block, clients
// at once, directory, number of arguments, arguments, number of variables,
// variables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace quicken::bench {

struct Row {
    bool terminal = false;
    unsigned block = 1;    // runs of it in one round, one right after the other
    unsigned clients = 1;  // of these at once
    std::string directory;
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
};

struct Spec {
    unsigned rounds = 1;
    unsigned pause = 0;  // before each block; microseconds
    unsigned seed = 0;   // of the order of rows, which each round has anew
    std::vector<Row> rows;
};

/// Throws Error if it is not complete.
Spec read_spec(int fd);

}  // namespace quicken::bench
