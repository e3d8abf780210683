// The Python type Request: one request, as a handler sees it.
//
// While its handler runs it looks at the engine's request; after that, if the
// script keeps it, at a copy.
#pragma once

#include <memory>

#include "http/message.hpp"
#include "http/python/python.hpp"

namespace quicken::http::python {

/// What a request's methods that send come to; of the call that the request is for. With Python's lock.
class Sender {
 public:
    virtual ~Sender() = default;
    /// All three throw Raised.
    virtual void begin(http::Response head) = 0;
    virtual void write(std::string bytes) = 0;
    virtual int hijack() = 0;
};

/// The type, made once; nullptr: Python's error is set.
PyObject* make_request_type();

/// A new instance of Request or a class of that (whose __init__ is not called). All three outlive the
/// instance, or end_request(). Throws Raised.
Ref make_request(PyObject* type, const http::Request& head, Body& body, Sender& sender);

/// The handler's call is over.
void end_request(PyObject* request);

/// Lists of (name, value) pairs as header lines, Latin-1 or else UTF-8. Those that the connection itself
/// writes are left out, but for `framed` ones (Content-Length); "Connection: close" is understood. Throws
/// Raised.
void add_fields(PyObject* pairs, bool framed, http::Response& response);

}  // namespace quicken::http::python
