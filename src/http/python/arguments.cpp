// See arguments.hpp. Rules of quick_server (HTTP.md): a query's "+" stays, a flag without "=" is True, the
// last value wins.
#include "http/python/arguments.hpp"

#include <strings.h>

#include "http/python/json.hpp"

namespace quicken::http::python {
namespace {

// Interned, kept for good.
struct Keys {
    PyObject* paths;
    PyObject* query;
    PyObject* fragment;
    PyObject* segments;
    PyObject* meta;
    PyObject* cookie;
    PyObject* post;
    PyObject* files;
    PyObject* nothing;  // ""
};
Keys g_keys{};

void set(PyObject* dict, PyObject* key, const Ref& value) {
    if (!value || PyDict_SetItem(dict, key, value.get()) != 0) {
        throw Raised{};
    }
}

Ref unquoted_text(std::string_view text, std::string& scratch) {
    return checked(to_text(unquote(text, scratch)));
}

Ref paths_of(const Rest& rest, std::string& scratch) {
    Ref list = checked(PyList_New(static_cast<Py_ssize_t>(rest.paths.size())));
    for (size_t i = 0; i < rest.paths.size(); ++i) {
        PyList_SetItem(list.get(), static_cast<Py_ssize_t>(i),
                       unquoted_text(rest.paths[i], scratch).release());
    }
    return list;
}

Ref query_of(const Rest& rest, std::string& scratch) {
    Ref dict = checked(PyDict_New());
    for (const Rest::Pair& pair : rest.query) {
        const Ref name = unquoted_text(pair.name, scratch);
        set(dict.get(), name.get(), pair.value ? unquoted_text(*pair.value, scratch) : Ref::borrow(Py_True));
    }
    return dict;
}

Ref segments_of(const Match& match) {
    Ref dict = checked(PyDict_New());
    for (const auto& [name, value] : match.segments) {
        set(dict.get(), checked(to_text(name)).get(), to_text(value));
    }
    return dict;
}

std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t");
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

Ref cookie_of(const http::Request& request) {
    Ref dict = checked(PyDict_New());
    std::string_view left = request.field("Cookie");
    while (!left.empty()) {
        const std::string_view pair = trimmed(left.substr(0, left.find(';')));
        left.remove_prefix(std::min(left.size(), left.find(';')));
        left.remove_prefix(left.empty() ? 0 : 1);
        const size_t equals = pair.find('=');
        if (equals == std::string_view::npos || equals == 0) {
            continue;
        }
        std::string_view value = trimmed(pair.substr(equals + 1));
        if (value.size() > 1 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        set(dict.get(), checked(to_text(trimmed(pair.substr(0, equals)))).get(), to_text(value));
    }
    return dict;
}

bool is_json(std::string_view type) {
    constexpr std::string_view k_json = "application/json";
    if (type.size() < k_json.size() || strncasecmp(type.data(), k_json.data(), k_json.size()) != 0) {
        return false;
    }
    type.remove_prefix(k_json.size());
    return type.empty() || strncasecmp(type.data(), "; charset=utf-8", type.size()) == 0 ||
           strncasecmp(type.data(), ";charset=utf-8", type.size()) == 0;
}

}  // namespace

void prepare_arguments() {
    const auto key = [](const char* name) { return checked(PyUnicode_InternFromString(name)).release(); };
    g_keys = {key("paths"),  key("query"), key("fragment"), key("segments"), key("meta"),
              key("cookie"), key("post"),  key("files"),    key("")};
}

Ref make_arguments(const http::Request& request, const Match& match) {
    std::string scratch;
    Ref arguments = checked(PyDict_New());
    PyObject* dict = arguments.get();
    if (match.rest.empty()) {
        set(dict, g_keys.paths, Ref(PyList_New(0)));
        set(dict, g_keys.query, Ref(PyDict_New()));
        set(dict, g_keys.fragment, Ref::borrow(g_keys.nothing));
    } else {
        const Rest rest = take_apart(match.rest);
        set(dict, g_keys.paths, paths_of(rest, scratch));
        set(dict, g_keys.query, query_of(rest, scratch));
        set(dict, g_keys.fragment,
            rest.fragment.empty() ? Ref::borrow(g_keys.nothing) : unquoted_text(rest.fragment, scratch));
    }
    set(dict, g_keys.segments, segments_of(match));
    set(dict, g_keys.meta, Ref(PyDict_New()));
    set(dict, g_keys.cookie, cookie_of(request));
    if (match.route->method != "GET") {
        set(dict, g_keys.post, Ref(PyDict_New()));
        set(dict, g_keys.files, Ref(PyDict_New()));
    }
    return arguments;
}

bool set_json_post(const http::Request& request, std::string_view body, PyObject* arguments) {
    if (!is_json(request.field("Content-Type"))) {
        return false;
    }
    const Ref value = read_json(body);
    if (!value) {
        return false;
    }
    set(arguments, g_keys.post, value);
    return true;
}

}  // namespace quicken::http::python
