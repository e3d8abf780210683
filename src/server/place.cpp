#include "place.hpp"

#include <sys/stat.h>

namespace quicken::server {

std::optional<FileId> file_id(const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return std::nullopt;
    return FileId{status.st_dev, status.st_ino};
}

}  // namespace quicken::server
