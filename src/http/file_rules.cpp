#include "http/file_rules.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace quicken::http {

namespace {

bool any_matches(const std::vector<std::string>& patterns, const std::string& file) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
        return fnmatch(pattern.c_str(), file.c_str(), FNM_NOESCAPE) == 0;
    });
}

}  // namespace

bool is_allowed(const FileRules& rules, const std::string& file) {
    if (!rules.white.empty() && !any_matches(rules.white, file)) return false;
    return !any_matches(rules.black, file);
}

bool is_blocked(const FileRules& rules, const std::string& directory) {
    return !rules.black.empty() &&
           (any_matches(rules.black, directory) || any_matches(rules.black, directory + "/"));
}

std::string file_in(const FileRules::Folder& folder, std::string_view path) {
    const std::string_view name = folder.name;
    std::string_view rest;
    if (path.starts_with(name)) {
        rest = path.substr(name.size());
    } else if (path != name.substr(0, name.size() - 1)) {
        return {};
    }
    std::string file;
    file.reserve(folder.path.size() + 1 + rest.size());
    file = folder.path;
    if (!file.ends_with('/') && (path.ends_with('/') || !rest.empty())) file += '/';
    file += rest;
    return file;
}

}  // namespace quicken::http
