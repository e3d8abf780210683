// Directories that are served: which file a path means, and its answer.
//
// Never takes Python's lock: what a script decides here is set in advance, but
// for the fallback hook (Site asks it where answer() has found nothing).
// Small files are kept in memory with their head and their compressed form, larger ones open
// while they are asked for; inotify(7) tells when one has changed, and before such an answer all
// that it has told so far is read: an edit made before the request is never missed (file_cache.hpp).
// The first answer of a larger file waits for its checksum, which holds up nobody else
// (static_files.cpp).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"
#include "http/representation.hpp"
#include "http/server.hpp"

namespace quicken::http {

/// What a script has set; replaced as a whole on the loop's thread.
struct FileRules {
    struct Folder {
        std::string name;  // "/x/": begins and ends with '/'
        std::string path;  // absolute directory
    };
    std::vector<Folder> folders;     // the last one bound is first
    std::vector<Folder> fallbacks;   // asked after all folders
    std::vector<std::string> white;  // fnmatch(3) patterns on the absolute path; empty: all
    std::vector<std::string> black;  // after the white list
    struct Special {
        std::string name;     // "/js/worker.js": the whole path
        std::string path;     // absolute file
        std::string content;  // instead of a file, if `path` is empty
        std::string type;     // empty: by the name
    };
    std::vector<Special> specials;
    std::string favicon;             // absolute file, or ""
    bool favicon_empty = false;      // link_empty_favicon_fallback
    bool favicon_everywhere = true;  // for every path that ends in /favicon.ico
    bool directory_listing = false;
    Policy policy;
};

/// The path of a target, without query and fragment, unquoted, "." and ".." and empty segments resolved;
/// nothing if it cannot be: NUL, bad percent, out of the root. A "/" at the end stays.
std::optional<std::string> normal_path(std::string_view target);

class Files {
 public:
    explicit Files(Server& server);
    ~Files();

    void set(FileRules rules);

    /// Answers GET and HEAD of an existing file, a directory (301, index.html, index.htm, a listing), a
    /// favicon: true. False: nothing there for this path, and nothing has been done.
    bool answer(const std::shared_ptr<Exchange>& exchange, std::string_view path);

    /// The same for one file of the script's choice (fallback hook).
    bool answer_file(const std::shared_ptr<Exchange>& exchange, const std::string& file);

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace quicken::http
