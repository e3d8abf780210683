// The listening sockets of the script. They belong to the supervisor: so a port
// is open from its first use to our end, whatever becomes of the script's
// processes, and who connects meanwhile waits in the backlog.
//
// A process has the n-th socket for an address by asking for the n-th time; its
// successor, which asks in the same order, gets the same ones. Under socket
// activation what a process asks for first, whatever it is, is systemd's first socket, and so on.
#pragma once

#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/fd.hpp"

namespace quicken::serve {

class Listeners {
 public:
    /// Takes the sockets that systemd has passed.
    Listeners();
    /// Removes the paths of Unix sockets that were bound here.
    ~Listeners();
    Listeners(const Listeners&) = delete;
    Listeners& operator=(const Listeners&) = delete;

    struct Found {
        int fd;    // stays ours
        int port;  // 0 of a Unix socket
    };
    /// For the `nth` request (from 0) of a process, its `repetition`-th (from 0) for this address. An address
    /// that begins with "/" is a Unix socket's path; "" is all interfaces. Throws Error with an errno value.
    Found find(unsigned generation, int nth, const std::string& address, int port, int repetition);

    /// Closes what none of these processes has asked for.
    void keep_only(const std::set<unsigned>& generations);

    /// "http://localhost:8080", "unix:/run/x.sock"
    std::vector<std::string> addresses() const;
    bool activated() const { return !passed_.empty(); }

 private:
    struct Socket {
        std::string address;
        int port;  // as asked for
        int repetition;
        Fd fd;
        std::set<unsigned> generations;
    };

    Socket& bind_new(const std::string& address, int port, int repetition);
    static void remove_path(const Socket& socket);

    std::list<Socket> sockets_;
    std::vector<Fd> passed_;
};

}  // namespace quicken::serve
