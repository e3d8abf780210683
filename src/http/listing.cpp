#include "http/listing.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

#include "http/path.hpp"
#include "http/words.hpp"

namespace quicken::http {

namespace {

constexpr std::size_t k_most_names = 10000;

struct Name {
    std::string text;  // a directory's ends with "/"
    std::string key;   // lower case
};

std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '"':
                result += "&quot;";
                break;
            case '\'':
                result += "&#x27;";
                break;
            default:
                result += c;
        }
    }
    return result;
}

/// Regular files and directories, links to them too: what is served. Most file systems say what an entry is,
/// and no look at each is needed.
std::optional<bool> is_directory(const std::string& file, unsigned char type) {
    if (type == DT_DIR) return true;
    if (type == DT_REG) return false;
    struct stat status {};
    if (stat(file.c_str(), &status) != 0) return std::nullopt;
    if (S_ISDIR(status.st_mode)) return true;
    return S_ISREG(status.st_mode) ? std::optional(false) : std::nullopt;
}

struct Names {
    std::vector<Name> names;
    bool more = false;
};

std::optional<Names> read_names(const std::string& directory,
                                const std::function<bool(const std::string&, bool)>& shown) {
    const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(directory.c_str()), closedir);
    if (!open) return std::nullopt;
    Names result;
    while (const dirent* entry = readdir(open.get())) {
        const std::string_view name = entry->d_name;
        if (name.starts_with('.')) continue;
        if (result.names.size() == k_most_names) {
            result.more = true;
            break;
        }
        const std::string file = directory + "/" + entry->d_name;
        const auto folder = is_directory(file, entry->d_type);
        if (!folder || !shown(file, *folder)) continue;
        Name found{std::string(name) + (*folder ? "/" : ""), {}};
        for (const char c : found.text) found.key += lower(c);
        result.names.push_back(std::move(found));
    }
    std::sort(result.names.begin(), result.names.end(),
              [](const Name& a, const Name& b) { return std::tie(a.key, a.text) < std::tie(b.key, b.text); });
    return result;
}

}  // namespace

std::optional<std::string> directory_page(const std::string& directory, std::string_view path,
                                          const std::function<bool(const std::string&, bool)>& shown) {
    const auto found = read_names(directory, shown);
    if (!found) return std::nullopt;
    const std::string title = "Directory listing for " + escaped(path);
    std::string page = "<!DOCTYPE HTML>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" +
                       title + "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n<hr>\n<ul>\n";
    for (const Name& name : found->names) {
        page += "<li><a href=\"" + quote_path(name.text) + "\">" + escaped(name.text) + "</a></li>\n";
    }
    page += "</ul>\n";
    if (found->more) page += "<p>More than " + std::to_string(k_most_names) + " names.</p>\n";
    page += "<hr>\n</body>\n</html>\n";
    return page;
}

}  // namespace quicken::http
