// Media types by a file's name.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

namespace quicken::http {

/// What Python's http.server answers: its mimetypes table (that of 3.13), over that /etc/mime.types where the
/// machine has one; fonts besides, which that table lacks. Like there, no charset is said: a page says its
/// own.
class MimeTypes {
 public:
    MimeTypes();

    /// "application/octet-stream" for what is not known.
    std::string_view of(std::string_view file) const;

 private:
    void read_system_table();

    std::unordered_map<std::string, std::string> types_;  // ".html" in lower case -> "text/html"
};

}  // namespace quicken::http
