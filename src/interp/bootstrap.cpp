#include "bootstrap.hpp"

#include <cstddef>

#include "bootstrap.inc"

namespace quicken::interp {

namespace {

struct Compiled {
    long magic;  // PyImport_GetMagicNumber(): what interpreter can run it
    const unsigned char* code;
    std::size_t size;
};

constexpr Compiled k_compiled[] = {QUICKEN_COMPILED{0, nullptr, 0}};

}  // namespace

Ref bootstrap_code() {
    const long magic = py.PyImport_GetMagicNumber();
    for (const Compiled& each : k_compiled) {
        if (each.code == nullptr || each.magic != magic || py.PyMarshal_ReadObjectFromString == nullptr)
            continue;
        Ref code(py.PyMarshal_ReadObjectFromString(reinterpret_cast<const char*>(each.code),
                                                   static_cast<Py_ssize_t>(each.size)));
        if (code) return code;
        py.PyErr_Clear();
    }
    return Ref(py.Py_CompileString(k_bootstrap, "<quicken>", Py_file_input));
}

}  // namespace quicken::interp
