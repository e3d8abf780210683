// The OpenSSL context is the first member of _ssl's SSLContext, after what every object begins with, in
// CPython 3.8 to 3.13 (PySSLContext in Modules/_ssl.c). It is used only if _ssl calls the same OpenSSL as
// this module, and if what is found there says the same as the object.
#include "http/python/tls.hpp"

#include <dlfcn.h>
#include <openssl/ssl.h>

namespace quicken::http::python {
namespace {

bool same_library(PyObject* module) {
    const Ref file(PyObject_GetAttrString(module, "__file__"));
    PyErr_Clear();  // built into the interpreter: no file
    const char* path = file ? text_of(file.get()).data() : nullptr;
    void* handle = ::dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) {
        return false;
    }
    void* theirs = ::dlsym(handle, "SSL_CTX_new");
    ::dlclose(handle);
    return theirs != nullptr && theirs == reinterpret_cast<void*>(&SSL_CTX_new);
}

long long number(PyObject* object, const char* name) {
    const Ref value = checked(PyObject_GetAttrString(object, name));
    const long long result = PyLong_AsLongLong(value.get());
    if (PyErr_Occurred() != nullptr) {
        throw Raised{};
    }
    return result;
}

bool is_none(PyObject* object, const char* name) {
    const Ref value(PyObject_GetAttrString(object, name));
    PyErr_Clear();
    return !value || value.get() == Py_None;
}

}  // namespace

SSL_CTX* context_of(PyObject* object) {
    if (object == nullptr || object == Py_None) {
        return nullptr;
    }
    const Ref module = checked(PyImport_ImportModule("_ssl"));
    const Ref type = checked(PyObject_GetAttrString(module.get(), "_SSLContext"));
    const int is_one = PyObject_IsInstance(object, type.get());
    if (is_one < 0) {
        throw Raised{};
    }
    if (is_one == 0) {
        raise(PyExc_ValueError, "ssl_context is to be an ssl.SSLContext");
    }
    if (!same_library(module.get())) {
        raise(PyExc_ValueError,
              "this Python's ssl module has an OpenSSL of its own: the engine cannot use its contexts");
    }
    SSL_CTX* context = *reinterpret_cast<SSL_CTX**>(object + 1);
    if (context == nullptr || SSL_CTX_get_verify_mode(context) != number(object, "verify_mode") ||
        static_cast<std::uint32_t>(SSL_CTX_get_options(context)) !=
            static_cast<std::uint32_t>(number(object, "options"))) {
        raise(PyExc_ValueError, "the contexts of this Python's ssl module are not as the engine knows them");
    }
    for (const char* name : {"sni_callback", "_msg_callback", "keylog_filename"}) {
        if (!is_none(object, name)) {
            raise(PyExc_ValueError, std::string("the engine cannot serve an SSLContext with ") + name);
        }
    }
    return context;
}

}  // namespace quicken::http::python
