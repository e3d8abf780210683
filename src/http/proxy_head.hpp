// Heads as a proxy passes them on (RFC 9110, 7.6): what belongs to one
// connection stays there, and the back end is told whom it answers.
//
// Strings alone: nothing here knows the network.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.hpp"

namespace quicken::http {

/// Past it the answer is 508: a proxy that forwards to itself would go round for ever.
inline constexpr std::size_t k_max_hops = 20;

/// Case of ASCII letters does not count.
bool same_name(std::string_view one, std::string_view other);

/// The fields that end here: the standard's, and those that Connection lists.
class HopByHop {
 public:
    /// `value` of a Connection field.
    void add(std::string_view value);
    bool has(std::string_view name) const;

 private:
    std::vector<std::string> listed_;
};

/// Proxies that the request has come through, by its Via fields.
std::size_t hops_of(const Request& request);

/// The client asks for a websocket: the one upgrade that is passed on. (h2c would smuggle requests past us.)
bool wants_websocket(const Request& request);

/// The request's head for a back end at `host` (as Host has it), ended by the empty line. Host is the back
/// end's, as it may have several names and knows itself by its own; the client's is in X-Forwarded-Host.
/// X-Forwarded-For is continued; -Host and -Proto say what was seen here, whatever the client sent. Expect
/// ends here too: whoever reads the body says 100 Continue.
std::string head_for(const Request& request, std::string_view target, std::string_view host);

/// What follows `name` in the request's target, query included, as it was sent; where that could mean another
/// path to the back end than `path` (dot segments), or is not below `name` as sent: that of `path`, quoted.
std::string rest_of_target(std::string_view target, std::string_view path, std::string_view name);

}  // namespace quicken::http
