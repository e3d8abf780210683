// The serializer walks only exact built-in types: no code of a script runs, so
// with the interpreter's lock held nothing changes under it.
//
// Keys are compared as UTF-8, whose order is that of code points, Python's own.
// A container within itself is left to Python, which raises ValueError; for
// that the path from the root is kept (at most k_depth of them).
#include "http/python/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

namespace quicken::http::python {
namespace {

constexpr size_t k_depth = 100;  // containers within each other
PyObject* g_scan = nullptr;      // json's own scanner, as json.loads() uses it; kept for good

constexpr std::array<bool, 256> make_plain() {
    std::array<bool, 256> plain{};
    for (size_t c = ' '; c <= '~'; ++c) {
        plain[c] = c != '"' && c != '\\';
    }
    return plain;
}
constexpr std::array<bool, 256> k_plain = make_plain();

void write_unit(unsigned unit, std::string& out) {
    constexpr char k_digits[] = "0123456789abcdef";
    const char text[] = {'\\',
                         'u',
                         k_digits[(unit >> 12) & 15],
                         k_digits[(unit >> 8) & 15],
                         k_digits[(unit >> 4) & 15],
                         k_digits[unit & 15]};
    out.append(text, sizeof text);
}

/// Escapes the character at `text[i]`, valid UTF-8; its length.
size_t write_escape(std::string_view text, size_t i, std::string& out) {
    const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned c = byte(i);
    if (c < 0x80) {
        constexpr std::string_view k_short = "\"\\\n\r\t\b\f";
        constexpr std::string_view k_letter = "\"\\nrtbf";
        if (const size_t at = k_short.find(static_cast<char>(c)); at != std::string_view::npos) {
            out += '\\';
            out += k_letter[at];
        } else {
            write_unit(c, out);
        }
        return 1;
    }
    if (c < 0xe0) {
        write_unit((c & 31) << 6 | (byte(i + 1) & 63U), out);
        return 2;
    }
    if (c < 0xf0) {
        write_unit((c & 15) << 12 | (byte(i + 1) & 63U) << 6 | (byte(i + 2) & 63U), out);
        return 3;
    }
    const unsigned code =
        (c & 7) << 18 | (byte(i + 1) & 63U) << 12 | (byte(i + 2) & 63U) << 6 | (byte(i + 3) & 63U);
    write_unit(0xd800 + ((code - 0x10000) >> 10), out);
    write_unit(0xdc00 + ((code - 0x10000) & 0x3ff), out);
    return 4;
}

void write_text(std::string_view text, std::string& out) {
    out += '"';
    size_t done = 0;
    for (size_t i = 0; i < text.size();) {
        if (k_plain[static_cast<unsigned char>(text[i])]) {
            ++i;
            continue;
        }
        out.append(text, done, i - done);
        i += write_escape(text, i, out);
        done = i;
    }
    out.append(text, done);
    out += '"';
}

bool view_of(PyObject* text, std::string_view& view) {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes == nullptr) {
        PyErr_Clear();  // a lone surrogate: Python's json escapes it
        return false;
    }
    view = {bytes, static_cast<size_t>(size)};
    return true;
}

class Writer {
 public:
    explicit Writer(std::string& out) : out_(out) {}

    bool value(PyObject* object) {
        PyTypeObject* type = Py_TYPE(object);
        if (type == &PyUnicode_Type) {
            std::string_view view;
            if (!view_of(object, view)) {
                return false;
            }
            write_text(view, out_);
            return true;
        }
        if (type == &PyLong_Type) {
            return integer(object);
        }
        if (type == &PyDict_Type) {
            return within(object, [&] { return dict(object); });
        }
        if (type == &PyList_Type) {
            return within(object, [&] { return items(object, PyList_Size, PyList_GetItem); });
        }
        if (type == &PyTuple_Type) {
            return within(object, [&] { return items(object, PyTuple_Size, PyTuple_GetItem); });
        }
        if (type == &PyFloat_Type) {
            return real(PyFloat_AsDouble(object));
        }
        return constant(object);
    }

 private:
    struct Member {
        std::string_view key;
        PyObject* value;  // borrowed
    };

    bool constant(PyObject* object) {
        if (object == Py_None) {
            out_ += "null";
        } else if (object == Py_True) {
            out_ += "true";
        } else if (object == Py_False) {
            out_ += "false";
        } else {
            return false;
        }
        return true;
    }

    bool integer(PyObject* object) {
        int overflow = 0;
        const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
        if (overflow != 0) {
            Ref text(PyObject_Repr(object));
            std::string_view view;
            if (!text || !view_of(text.get(), view)) {
                PyErr_Clear();  // more digits than sys.set_int_max_str_digits() allows: Python's json says so
                return false;
            }
            out_ += view;
            return true;
        }
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, number);
        out_.append(digits, end.ptr);
        return true;
    }

    bool real(double number) {
        if (std::isnan(number)) {
            out_ += "\"NaN\"";
        } else if (std::isinf(number)) {
            out_ += number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
        } else {
            finite(number);
        }
        return true;
    }

    /// As float.__repr__: the shortest digits that read back as the same number; with an exponent below 1e-4
    /// and from 1e16 on, else with a point.
    void finite(double number) {
        const double size = std::fabs(number);
        const bool fixed = size == 0 || (size >= 1e-4 && size < 1e16);
        char text[40];
        const auto end = std::to_chars(text, text + sizeof text, number,
                                       fixed ? std::chars_format::fixed : std::chars_format::scientific);
        out_.append(text, end.ptr);
        if (fixed && std::find(text, end.ptr, '.') == end.ptr) {
            out_ += ".0";
        }
    }

    template <typename Body>
    bool within(PyObject* container, Body&& body) {
        if (depth_ == k_depth ||
            std::find(path_.data(), path_.data() + depth_, container) != path_.data() + depth_) {
            return false;
        }
        path_[depth_++] = container;
        const bool good = body();
        --depth_;
        return good;
    }

    void line() {
        out_ += '\n';
        out_.append(2 * depth_, ' ');
    }

    void close(char bracket) {
        out_ += '\n';
        out_.append(2 * (depth_ - 1), ' ');
        out_ += bracket;
    }

    bool items(PyObject* list, Py_ssize_t (*size_of)(PyObject*), PyObject* (*item)(PyObject*, Py_ssize_t)) {
        const Py_ssize_t size = size_of(list);
        if (size == 0) {
            out_ += "[]";
            return true;
        }
        out_ += '[';
        for (Py_ssize_t i = 0; i < size; ++i) {
            if (i != 0) {
                out_ += ',';
            }
            line();
            if (!value(item(list, i))) {
                return false;
            }
        }
        close(']');
        return true;
    }

    /// The members of this dict are those of members_ from `first` on: one stack for all levels.
    bool collect(PyObject* object, size_t first) {
        Py_ssize_t position = 0;
        PyObject* key = nullptr;
        PyObject* member = nullptr;
        bool sorted = true;
        while (PyDict_Next(object, &position, &key, &member) != 0) {
            std::string_view view;
            if (Py_TYPE(key) != &PyUnicode_Type || !view_of(key, view)) {
                return false;
            }
            sorted = sorted && (members_.size() == first || members_.back().key < view);
            members_.push_back({view, member});
        }
        if (!sorted) {
            std::sort(members_.begin() + static_cast<std::ptrdiff_t>(first), members_.end(),
                      [](const Member& a, const Member& b) { return a.key < b.key; });
        }
        return true;
    }

    bool dict(PyObject* object) {
        const size_t first = members_.size();
        if (!collect(object, first)) {
            return false;
        }
        const size_t end = members_.size();
        if (end == first) {
            out_ += "{}";
            return true;
        }
        out_ += '{';
        for (size_t i = first; i < end; ++i) {
            if (i != first) {
                out_ += ',';
            }
            line();
            const Member member = members_[i];
            write_text(member.key, out_);
            out_ += ": ";
            if (!value(member.value)) {
                return false;
            }
        }
        close('}');
        members_.resize(first);
        return true;
    }

    std::string& out_;
    std::array<PyObject*, k_depth> path_;  // the first depth_ of them
    size_t depth_ = 0;
    std::vector<Member> members_;
};

constexpr int k_replace_depth = 900;  // a little less than Python's own recursion limit

/// The name of a NaN or an infinity; nothing for all else.
Ref name_of(PyObject* value) {
    const double number = PyFloat_Check(value) != 0 ? PyFloat_AsDouble(value) : 0;
    if (std::isfinite(number)) {
        return {};
    }
    return checked(
        PyUnicode_FromString(std::isnan(number) ? "NaN" : (number > 0 ? "Infinity" : "-Infinity")));
}

/// The value with NaN and infinities replaced by their names, also as keys; containers are copied.
Ref replaced(PyObject* value, bool& changed, int depth) {
    if (depth > k_replace_depth) {
        raise(PyExc_RecursionError, "maximum recursion depth exceeded while encoding a JSON object");
    }
    if (Ref name = name_of(value)) {
        changed = true;
        return name;
    }
    if (PyDict_Check(value)) {
        Ref copy = checked(PyDict_New());
        Ref items = checked(PyMapping_Items(value));
        for (Py_ssize_t i = 0; i < PyList_Size(items.get()); ++i) {
            PyObject* item = PyList_GetItem(items.get(), i);
            Ref member = replaced(PyTuple_GetItem(item, 1), changed, depth + 1);
            const Ref name = name_of(PyTuple_GetItem(item, 0));
            changed = changed || name;
            PyObject* key = name ? name.get() : PyTuple_GetItem(item, 0);
            if (PyDict_SetItem(copy.get(), key, member.get()) != 0) {
                throw Raised{};
            }
        }
        return copy;
    }
    if (PyList_Check(value) || PyTuple_Check(value)) {
        Ref copy = checked(PySequence_List(value));
        for (Py_ssize_t i = 0; i < PyList_Size(copy.get()); ++i) {
            Ref member = replaced(PyList_GetItem(copy.get(), i), changed, depth + 1);
            PyList_SetItem(copy.get(), i, member.release());
        }
        return copy;
    }
    return Ref::borrow(value);
}

Ref python_dumps(PyObject* value) {
    Ref json = checked(PyImport_ImportModule("json"));
    Ref dumps = checked(PyObject_GetAttrString(json.get(), "dumps"));
    Ref arguments = checked(Py_BuildValue("(O)", value));
    Ref keywords =
        checked(Py_BuildValue("{s:i,s:O,s:O}", "indent", 2, "sort_keys", Py_True, "allow_nan", Py_False));
    return checked(guarded([&] { return PyObject_Call(dumps.get(), arguments.get(), keywords.get()); }));
}

}  // namespace

bool write_json(PyObject* value, std::string& out) {
    const size_t before = out.size();
    if (Writer(out).value(value)) {
        return true;
    }
    out.resize(before);
    return false;
}

std::string dump_json(PyObject* value) {
    std::string out;
    if (write_json(value, out)) {
        return out;
    }
    try {
        return std::string(text_of(python_dumps(value).get()));
    } catch (const Raised&) {
        if (PyErr_ExceptionMatches(PyExc_ValueError) == 0) {
            throw;
        }
    }
    // A ValueError: for a NaN, or for a circle. Only the first can be helped.
    PyObject* type = nullptr;
    PyObject* error = nullptr;
    PyObject* trace = nullptr;
    PyErr_Fetch(&type, &error, &trace);
    Ref held_type(type);
    Ref held_error(error);
    Ref held_trace(trace);
    bool changed = false;
    Ref copy;
    try {
        copy = replaced(value, changed, 0);
    } catch (const Raised&) {
        PyErr_Clear();  // too deep: the first error says why
    }
    if (!changed || !copy) {
        PyErr_Restore(held_type.release(), held_error.release(), held_trace.release());
        throw Raised{};
    }
    return std::string(text_of(python_dumps(copy.get()).get()));
}

bool prepare_json() {
    Ref decoder(PyImport_ImportModule("json.decoder"));
    Ref type(decoder ? PyObject_GetAttrString(decoder.get(), "JSONDecoder") : nullptr);
    Ref instance(type ? PyObject_CallObject(type.get(), nullptr) : nullptr);
    g_scan = instance ? PyObject_GetAttrString(instance.get(), "scan_once") : nullptr;
    return g_scan != nullptr;
}

Ref read_json(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\n\r");
    if (first == std::string_view::npos) {
        return {};
    }
    text = text.substr(first, text.find_last_not_of(" \t\n\r") - first + 1);
    Ref whole(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
    Ref start(PyLong_FromLong(0));
    Ref pair = whole && start ? call(g_scan, whole.get(), start.get()) : Ref();
    if (pair && PyLong_AsSsize_t(PyTuple_GetItem(pair.get(), 1)) == PyUnicode_GetLength(whole.get())) {
        return Ref::borrow(PyTuple_GetItem(pair.get(), 0));
    }
    PyErr_Clear();  // the script's side parses it again and says what is wrong with it
    return {};
}

}  // namespace quicken::http::python
