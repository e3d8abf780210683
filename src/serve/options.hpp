// The command line of `quicken serve`.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace quicken::serve {

struct Options {
    std::string script;                  // as typed; empty with --www
    std::vector<std::string> arguments;  // the script's
    std::string www;                     // the directory of --www; empty with a script
    std::string address = "localhost";   // of --www
    int port = 8000;                     // of --www
    std::string python;                  // may be empty
    std::vector<std::string> python_options;
    std::string settings;  // a JSON object, or empty
    bool reload = true;    // when a file is edited
    bool prompt = true;
    double idle = 0;            // seconds; 0: never
    double start_timeout = 60;  // seconds that a successor has until it serves
    double drain_timeout = 30;  // seconds, where the script says nothing else
};

/// Prints help or an error and sets `status` where there is nothing to serve; returns false then.
bool read_options(int argc, char** argv, Options& options, int& status);

}  // namespace quicken::serve
