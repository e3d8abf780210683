// Which files a path may mean, by what a script has bound and allowed.
#pragma once

#include <string>
#include <string_view>

#include "http/files.hpp"

namespace quicken::http {

/// fnmatch(3) as Python's: "*" takes "/" too, "\" is a character.
bool is_allowed(const FileRules& rules, const std::string& file);

/// No entry of the black list matches: what is asked of a directory, whose name the white list cannot know.
bool is_blocked(const FileRules& rules, const std::string& directory);

/// What a folder has for the path: `path` without the folder's name appended to its directory, which the
/// path "/x" too means of a folder "/x/". Empty: it is none of its.
std::string file_in(const FileRules::Folder& folder, std::string_view path);

/// Calls `serve(file)` for each candidate in the order of the rules, until one says true.
template <typename Serve>
bool any_candidate(const FileRules& rules, std::string_view path, Serve serve) {
    for (const auto* folders : {&rules.folders, &rules.fallbacks}) {
        for (auto folder = folders->rbegin(); folder != folders->rend(); ++folder) {
            const std::string file = file_in(*folder, path);
            if (!file.empty() && serve(file)) return true;
        }
    }
    return false;
}

}  // namespace quicken::http
