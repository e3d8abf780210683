// Which handler of a script a request is for.
//
// A mask is matched with the target as it was sent. It has to be followed by
// '#', '?', '/' or the end, so that it matches whole segments. The longest mask
// is tried first, of equal ones the one added last. ":name" in a mask stands
// for any text that is not empty up to the next '/': also for a query, if it is
// the mask's last segment (HTTP.md's rule of quick_server).
//
// Routes are made once and then only read: a change is a new object.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quicken::http {

struct Route {
    enum class Kind { json, text };

    std::string method;
    std::string mask;
    Kind kind = Kind::text;
    std::optional<unsigned> argc;          // segments that must follow the mask
    void* handler = nullptr;               // of whoever calls it
    mutable std::atomic<int> slowness{0};  // see Threads (python/threads.hpp)
};

/// What a request is for. Views of the target.
struct Match {
    std::shared_ptr<const Route> route;
    std::vector<std::pair<std::string_view, std::string_view>> segments;  // of ":name"; names of the mask
    std::string_view rest;  // what follows the mask, with query and fragment
};

/// A target's rest, taken apart. Views of it, still quoted.
struct Rest {
    struct Pair {
        std::string_view name;
        std::optional<std::string_view> value;  // none: a flag without "="
    };
    std::vector<std::string_view> paths;  // without "", "." and what ".." takes back
    std::vector<Pair> query;
    std::string_view fragment;
};
Rest take_apart(std::string_view rest);

/// Percent-encoded bytes decoded; what is no hexadecimal stays. `scratch` holds the result if it differs.
std::string_view unquote(std::string_view text, std::string& scratch);

class Routes {
 public:
    /// HEAD is answered by what is added for GET.
    void add(std::shared_ptr<const Route> route);
    std::optional<Match> find(std::string_view method, std::string_view target) const;
    /// The methods that have a route for this target, e.g. "GET, HEAD, POST"; empty: none.
    std::string methods(std::string_view target) const;

 private:
    std::vector<std::shared_ptr<const Route>> routes_;  // as they are tried
};

}  // namespace quicken::http
