// ssl.SSLContext as the engine's TLS context.
#pragma once

#include "http/python/python.hpp"

typedef struct ssl_ctx_st SSL_CTX;  // openssl/ssl.h

namespace quicken::http::python {

/// The OpenSSL context in an ssl.SSLContext, which has to outlive what is made of it; nullptr for None.
/// Throws Raised (ValueError) if it is none, if its OpenSSL is another than the engine's, or if it has a
/// callback in Python, which only ssl's own sockets can call.
SSL_CTX* context_of(PyObject* object);

}  // namespace quicken::http::python
