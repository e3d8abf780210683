#include "client_environment.hpp"

#include <stdlib.h>
#include <string.h>

namespace quicken::interp {

char** environment_strings(char* text, std::size_t size, std::uint32_t count) {
    auto** strings = static_cast<char**>(malloc((count + 1) * sizeof(char*)));
    if (strings == nullptr) return nullptr;
    std::size_t at = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (at >= size) {
            free(strings);
            return nullptr;
        }
        strings[i] = text + at;
        at += strlen(text + at) + 1;
    }
    strings[count] = nullptr;
    return strings;
}

Ref environment_dict(char** strings) {
    Ref dict(py.PyDict_New());
    for (char** entry = strings; dict && *entry != nullptr; ++entry) {
        const char* equals = strchr(*entry, '=');
        if (equals == nullptr) continue;
        const Ref name(py.PyBytes_FromStringAndSize(*entry, equals - *entry));
        if (py.PyDict_Contains(dict.get(), name.get()) == 1) continue;
        const Ref value(
            py.PyBytes_FromStringAndSize(equals + 1, static_cast<Py_ssize_t>(strlen(equals + 1))));
        if (py.PyDict_SetItem(dict.get(), name.get(), value.get()) != 0) dict.reset();
    }
    return dict;
}

}  // namespace quicken::interp
