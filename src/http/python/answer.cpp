// See answer.hpp.
#include "http/python/answer.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "http/python/json.hpp"
#include "http/python/request.hpp"

namespace quicken::http::python {
namespace {

constexpr char k_json_fields[] = "Content-Type: application/json\r\n";
constexpr char k_text_fields[] = "Content-Type: text/html; charset=utf-8\r\n";
constexpr char k_bytes_fields[] = "Content-Type: text/html\r\n";

std::string bytes_of(PyObject* bytes) {
    char* data = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(bytes, &data, &size) != 0) {
        throw Raised{};
    }
    return {data, static_cast<size_t>(size)};
}

http::Response with_body(const char* fields, std::string body) {
    http::Response response;
    response.fields = fields;
    response.pieces.emplace_back(std::move(body));
    return response;
}

bool is_plain(PyObject* value) {
    PyTypeObject* type = Py_TYPE(value);
    return type == &PyDict_Type || type == &PyList_Type || type == &PyUnicode_Type || type == &PyLong_Type ||
           type == &PyFloat_Type || type == &PyTuple_Type || type == &PyBool_Type;
}

/// What a regular file has from where it is read next.
std::optional<FileSlice> slice_of(PyObject* file) {
    const Ref number = call_method(file, "fileno");
    const Ref offset = number ? call_method(file, "tell") : Ref();
    const long long at = offset ? PyLong_AsLongLong(offset.get()) : -1;
    const long fd = offset ? PyLong_AsLong(number.get()) : -1;
    struct stat status {};
    if (at < 0 || fd < 0 || ::fstat(static_cast<int>(fd), &status) != 0 || !S_ISREG(status.st_mode)) {
        PyErr_Clear();  // an object that is read instead
        return std::nullopt;
    }
    Fd own(::fcntl(static_cast<int>(fd), F_DUPFD_CLOEXEC, 3));
    if (!own) {
        PyErr_SetFromErrno(PyExc_OSError);
        throw Raised{};
    }
    const auto size = status.st_size > at ? static_cast<std::uint64_t>(status.st_size - at) : 0;
    return FileSlice{std::make_shared<const Fd>(std::move(own)), static_cast<std::uint64_t>(at), size};
}

Piece piece_of(PyObject* body) {
    if (PyBytes_Check(body) != 0) {
        return bytes_of(body);
    }
    if (std::optional<FileSlice> slice = slice_of(body)) {
        return *slice;
    }
    const Ref content = checked(call_method(body, "read"));
    if (PyUnicode_Check(content.get()) != 0) {
        return std::string(text_of(content.get()));
    }
    return bytes_of(content.get());
}

}  // namespace

std::optional<http::Response> native_answer(Route::Kind kind, PyObject* result) {
    if (kind == Route::Kind::json) {
        if (!is_plain(result)) {
            return std::nullopt;
        }
        return with_body(k_json_fields, dump_json(result));
    }
    if (Py_TYPE(result) == &PyUnicode_Type) {
        return with_body(k_text_fields, std::string(text_of(result)));
    }
    if (Py_TYPE(result) == &PyBytes_Type) {
        return with_body(k_bytes_fields, bytes_of(result));
    }
    return std::nullopt;
}

std::optional<http::Response> answer_of(PyObject* tuple) {
    if (tuple == Py_None) {
        return std::nullopt;
    }
    int status = 0;
    const char* reason = nullptr;
    PyObject* fields = nullptr;
    PyObject* body = nullptr;
    if (PyTuple_Check(tuple) == 0) {
        raise(PyExc_TypeError, "an answer is a tuple (status, reason, fields, body)");
    }
    if (PyArg_ParseTuple(tuple, "izOO", &status, &reason, &fields, &body) == 0) {
        throw Raised{};
    }
    if (status < 200 || status > 999) {
        raise(PyExc_ValueError, "not the status of an answer: " + std::to_string(status));
    }
    http::Response response;
    response.status = static_cast<unsigned>(status);
    response.reason = reason == nullptr ? "" : reason;
    add_fields(fields, false, response);
    response.pieces.push_back(piece_of(body));
    return response;
}

}  // namespace quicken::http::python
