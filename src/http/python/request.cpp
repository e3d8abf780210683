// See request.hpp.
#include "http/python/request.hpp"

#include <strings.h>

#include <array>
#include <optional>

namespace quicken::http::python {
namespace {

/// A request on its own.
struct Copy {
    explicit Copy(const http::Request& other) : head(other) {
        size_t size = other.method.size() + other.target.size();
        for (const Field& field : other.fields) {
            size += field.name.size() + field.value.size();
        }
        storage.reserve(size);
        head.method = keep(other.method);
        head.target = keep(other.target);
        for (Field& field : head.fields) {
            field = {keep(field.name), keep(field.value)};
        }
    }
    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;

    std::string_view keep(std::string_view text) {
        const size_t at = storage.size();
        storage += text;  // never grows past what is reserved: views stay
        return std::string_view(storage).substr(at);
    }

    std::string storage;
    http::Request head;
};

// Attributes that a script may set as well.
enum Attribute : size_t { command, path, requestline, request_version, client_address, secure, k_attributes };

struct Object {
    PyObject ob_base;
    const http::Request* head;
    Copy* copy;
    Body* body;
    Sender* sender;
    PyObject* body_object;
    PyObject* set[k_attributes];
};

Object& of(PyObject* self) {
    return *reinterpret_cast<Object*>(self);
}

// What Python makes may start its garbage collector, and so finalizers, which let go of its lock: the handler
// returns, and the engine has its request back. So nothing of it is looked at after the first object that the
// collector knows (a list, a tuple, no str) is asked for.

Ref attribute(const http::Request& head, Attribute which) {
    std::string address;
    switch (which) {
        case command:
            return to_latin(head.method);
        case path:
            return to_latin(head.target);
        case requestline:
            return to_latin(head.line());
        case request_version:
            return to_latin(head.minor == 0 ? "HTTP/1.0" : "HTTP/1.1");
        case client_address:
            address = head.peer_address;
            return Ref(Py_BuildValue("(s#i)", address.data(), static_cast<Py_ssize_t>(address.size()),
                                     static_cast<int>(head.peer_port)));
        default:
            return Ref::borrow(head.tls ? Py_True : Py_False);
    }
}

Attribute which_of(void* closure) {
    return static_cast<Attribute>(reinterpret_cast<std::uintptr_t>(closure));
}

PyObject* get_attribute(PyObject* self, void* closure) {
    Object& object = of(self);
    PyObject*& set = object.set[which_of(closure)];
    if (set == nullptr) {
        if (object.head == nullptr) {
            PyErr_SetString(PyExc_AttributeError, "this request is none of the engine's");
            return nullptr;
        }
        set = attribute(*object.head, which_of(closure)).release();
    }
    Py_XINCREF(set);
    return set;
}

int set_attribute(PyObject* self, PyObject* value, void* closure) {
    PyObject*& set = of(self).set[which_of(closure)];
    PyObject* old = std::exchange(set, value);
    Py_XINCREF(value);
    Py_XDECREF(old);
    return 0;
}

PyObject* fields(PyObject* self, PyObject*) {
    std::optional<Copy> own;
    if (const http::Request* head = of(self).head) {
        own.emplace(*head);
    }
    Ref list(PyList_New(0));
    for (size_t i = 0; list && own && i < own->head.fields.size(); ++i) {
        const Field& field = own->head.fields[i];
        const Ref name = to_latin(field.name);
        const Ref value = to_latin(field.value);
        const Ref pair(name && value ? PyTuple_Pack(2, name.get(), value.get()) : nullptr);
        if (!pair || PyList_Append(list.get(), pair.get()) != 0) {
            return nullptr;
        }
    }
    return list.release();
}

PyObject* body(PyObject* self, PyObject*) {
    Object& object = of(self);
    if (object.body_object == nullptr) {
        if (object.body != nullptr && object.body->file) {
            object.body_object =
                PyFile_FromFd(object.body->file.release(), nullptr, "rb", -1, nullptr, nullptr, nullptr, 1);
        } else {
            const std::string_view bytes =
                object.body == nullptr ? std::string_view() : std::string_view(object.body->bytes);
            object.body_object =
                PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size()));
        }
    }
    Py_XINCREF(object.body_object);
    return object.body_object;
}

PyObject* begin(PyObject* self, PyObject* arguments) {
    int status = 0;
    const char* reason = nullptr;
    PyObject* pairs = nullptr;
    if (PyArg_ParseTuple(arguments, "isO", &status, &reason, &pairs) == 0) {
        return nullptr;
    }
    if (status < 200 || status > 999) {
        PyErr_SetString(PyExc_ValueError, "not the status of an answer");
        return nullptr;
    }
    http::Response response;
    response.status = static_cast<unsigned>(status);
    response.reason = reason;
    try {
        add_fields(pairs, true, response);
        if (Sender* sender = of(self).sender) {
            sender->begin(std::move(response));
        }
    } catch (const Raised&) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* write(PyObject* self, PyObject* arguments) {
    const char* bytes = nullptr;
    Py_ssize_t size = 0;
    if (PyArg_ParseTuple(arguments, "y#", &bytes, &size) == 0) {
        return nullptr;
    }
    try {
        if (Sender* sender = of(self).sender) {
            sender->write(std::string(bytes, static_cast<size_t>(size)));
        }
    } catch (const Raised&) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* hijack(PyObject* self, PyObject*) {
    Sender* sender = of(self).sender;
    if (sender == nullptr) {
        PyErr_SetString(PyExc_ConnectionError, "the request has been answered");
        return nullptr;
    }
    try {
        return PyLong_FromLong(sender->hijack());
    } catch (const Raised&) {
        return nullptr;
    }
}

void destroy(PyObject* self) {
    Object& object = of(self);
    for (PyObject* set : object.set) {
        Py_XDECREF(set);
    }
    Py_XDECREF(object.body_object);
    delete object.copy;
    PyTypeObject* type = Py_TYPE(self);
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(reinterpret_cast<PyObject*>(type));
}

void* closure(Attribute which) {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(which));
}

PyGetSetDef g_attributes[] = {
    {"command", get_attribute, set_attribute, "the method", closure(command)},
    {"path", get_attribute, set_attribute, "the target as sent", closure(path)},
    {"requestline", get_attribute, set_attribute, nullptr, closure(requestline)},
    {"request_version", get_attribute, set_attribute, "HTTP/1.1", closure(request_version)},
    {"client_address", get_attribute, set_attribute, "(address, port)", closure(client_address)},
    {"secure", get_attribute, set_attribute, "whether over TLS", closure(secure)},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMethodDef g_methods[] = {
    {"fields", fields, METH_NOARGS, "Header lines as (name, value), in their order."},
    {"body", body, METH_NOARGS, "The whole body: bytes, or a binary file beyond spool_size."},
    {"begin", begin, METH_VARARGS, "begin(status, reason, fields): begins an answer in parts."},
    {"write", write, METH_VARARGS, "write(data): sends a part; ConnectionError once the client has gone."},
    {"hijack", hijack, METH_NOARGS, "A socket's descriptor for the client without HTTP."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot g_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
                         {Py_tp_getset, g_attributes},
                         {Py_tp_methods, g_methods},
                         {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
                         {Py_tp_doc, const_cast<char*>("One request; the engine makes the instances.")},
                         {0, nullptr}};

PyType_Spec g_spec = {"quick_server._engine.Request", sizeof(Object), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, g_slots};

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    for (const std::string_view one : names) {
        if (name.size() == one.size() && strncasecmp(name.data(), one.data(), name.size()) == 0) {
            return true;
        }
    }
    return false;
}

std::string header_text(PyObject* value) {
    const Ref text = checked(PyObject_Str(value));
    const Ref bytes(PyUnicode_AsLatin1String(text.get()));
    if (bytes) {
        return {PyBytes_AsString(bytes.get()), static_cast<size_t>(PyBytes_Size(bytes.get()))};
    }
    PyErr_Clear();
    return std::string(text_of(text.get()));
}

}  // namespace

PyObject* make_request_type() {
    return PyType_FromSpec(&g_spec);
}

Ref make_request(PyObject* type, const http::Request& head, Body& body_of, Sender& sender) {
    auto* made = reinterpret_cast<PyTypeObject*>(type);
    const auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(made, Py_tp_alloc));
    Ref request = checked(allocate(made, 0));
    Object& object = of(request.get());
    object.head = &head;
    object.body = &body_of;
    object.sender = &sender;
    return request;
}

void end_request(PyObject* request) {
    Object& object = of(request);
    if (Py_REFCNT(request) > 1) {
        object.copy = new Copy(*object.head);
    }
    object.head = object.copy == nullptr ? nullptr : &object.copy->head;
    object.body = nullptr;
    object.sender = nullptr;
}

void add_fields(PyObject* pairs, bool framed, http::Response& response) {
    const Ref list = checked(PySequence_List(pairs));
    for (Py_ssize_t i = 0; i < PyList_Size(list.get()); ++i) {
        const Ref pair = checked(PySequence_Tuple(PyList_GetItem(list.get(), i)));
        if (PyTuple_Size(pair.get()) != 2) {
            raise(PyExc_ValueError, "fields are pairs of name and value");
        }
        const std::string name = header_text(PyTuple_GetItem(pair.get(), 0));
        const std::string value = header_text(PyTuple_GetItem(pair.get(), 1));
        if (is_one_of(name, {"Connection"})) {
            response.close = response.close || is_one_of(value, {"close"});
        } else if (!is_one_of(name, {"Transfer-Encoding", "Date"}) &&
                   (framed || !is_one_of(name, {"Content-Length"}))) {
            response.add(name, value);
        }
    }
}

}  // namespace quicken::http::python
