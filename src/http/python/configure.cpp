// See configure.hpp.
#include "http/python/configure.hpp"

#include <algorithm>
#include <cmath>
#include <variant>

namespace quicken::http::python {
namespace {

using Strings = std::vector<std::string>;
using Place = std::variant<std::uint64_t*, double*, bool*, std::string*, Strings*>;

struct Entry {
    std::string_view name;
    Place place;
};

std::vector<Entry> entries(Config& config) {
    Settings& s = config.settings;
    FileRules& f = config.files;
    return {{"max_target", &s.max_target},
            {"max_header", &s.max_header},
            {"max_fields", &s.max_fields},
            {"max_body", &s.max_body},
            {"max_chunk_line", &s.max_chunk_line},
            {"spool_size", &s.spool_size},
            {"max_connections", &s.max_connections},
            {"max_pending", &s.max_pending},
            {"require_length", &s.require_length},
            {"handshake_timeout", &s.handshake_timeout},
            {"header_timeout", &s.header_timeout},
            {"body_timeout", &s.body_timeout},
            {"body_min_rate", &s.body_min_rate},
            {"idle_timeout", &s.idle_timeout},
            {"write_timeout", &s.write_timeout},
            {"connect_timeout", &s.connect_timeout},
            {"proxy_timeout", &s.proxy_timeout},
            {"drain_timeout", &s.drain_timeout},
            {"white", &f.white},
            {"black", &f.black},
            {"favicon", &f.favicon},
            {"favicon_empty", &f.favicon_empty},
            {"favicon_everywhere", &f.favicon_everywhere},
            {"directory_listing", &f.directory_listing},
            {"max_age", &f.policy.max_age},
            {"cross_origin", &f.policy.cross_origin},
            {"compress", &f.policy.compress},
            {"parallel", &config.parallel},
            {"suppress_noise", &config.quiet},
            {"debug_proxy", &config.debug_proxy},
            {"server_version", &s.server_version},
            {"report_slow", &config.report_slow}};
}

struct Setter {
    PyObject* value;

    bool operator()(std::uint64_t* place) const {
        *place = PyLong_AsUnsignedLongLong(value);
        return PyErr_Occurred() == nullptr;
    }
    bool operator()(double* place) const {
        *place = PyFloat_AsDouble(value);
        return PyErr_Occurred() == nullptr && std::isfinite(*place) && *place >= 0;
    }
    bool operator()(bool* place) const {
        const int truth = PyObject_IsTrue(value);
        *place = truth > 0;
        return truth >= 0;
    }
    bool operator()(std::string* place) const {
        place->clear();
        if (value != Py_None) {
            *place = text_of(checked(PyOS_FSPath(value)).get());
            // A field of an answer among them: no end of a line in it.
            return std::none_of(place->begin(), place->end(), [](char c) { return c >= 0 && c < ' '; });
        }
        return true;
    }
    bool operator()(Strings* place) const {
        place->clear();
        const Ref list = checked(PySequence_List(value));
        for (Py_ssize_t i = 0; i < PyList_Size(list.get()); ++i) {
            place->emplace_back(text_of(PyList_GetItem(list.get(), i)));
        }
        return PyUnicode_Check(value) == 0;  // one str is most likely a mistake
    }
};

void set(const Entry& entry, PyObject* value) {
    bool good = false;
    try {
        good = std::visit(Setter{value}, entry.place);
    } catch (const Raised&) {
        good = false;
    }
    if (!good) {
        PyErr_Clear();
        raise(PyExc_ValueError, "not a value for " + std::string(entry.name));
    }
}

}  // namespace

void configure(PyObject* values, Config& config, Ref& slow) {
    const std::vector<Entry> known = entries(config);
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(values, &position, &key, &value) != 0) {
        const std::string_view name = text_of(key);
        if (name == "slow") {
            slow = value == Py_None ? Ref() : Ref::borrow(value);
            continue;
        }
        const auto found =
            std::find_if(known.begin(), known.end(), [&](const Entry& entry) { return entry.name == name; });
        if (found == known.end()) {
            raise(PyExc_ValueError, "no setting of this name: " + std::string(name));
        }
        set(*found, value);
    }
}

}  // namespace quicken::http::python
