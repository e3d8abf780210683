// A directory as a page.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace quicken::http {

/// The page of http.server's list_directory(), UTF-8: names sorted without regard to case, "/" behind those
/// of directories. `path` is the request's, normal. Only names that `shown` accepts, given the whole file
/// name and whether it is a directory; none that begin with ".". At most 10,000, then a line says that there
/// are more. Nothing if the directory cannot be read.
std::optional<std::string> directory_page(const std::string& directory, std::string_view path,
                                          const std::function<bool(const std::string&, bool)>& shown);

}  // namespace quicken::http
