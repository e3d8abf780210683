// Lines "Name: value\r\n" of an answer, as far as the connection must know them.
#pragma once

#include <string>
#include <string_view>

namespace quicken::http {

struct FieldSet {
    bool date = false;
    bool server = false;
    bool length = false;
    bool encoding = false;  // Transfer-Encoding
    bool connection = false;
    bool close = false;  // Connection: close
};

FieldSet find_fields(std::string_view lines);

/// Takes all lines of that name out; `name` in lower case with its colon.
void erase_field(std::string& lines, std::string_view name);

}  // namespace quicken::http
