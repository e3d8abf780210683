// What is in files.hpp, for whoever has a loop: two functions are all that is
// needed of a server.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "http/file_cache.hpp"
#include "http/file_facts.hpp"
#include "http/files.hpp"
#include "http/mime.hpp"

namespace quicken::http {

class StaticFiles {
 public:
    /// Calls once after so many seconds, unless the handle goes before. As Server::after().
    using After = std::function<std::shared_ptr<void>(double seconds, std::function<void()>)>;

    StaticFiles(Post post, After after) : after_(std::move(after)), facts_(std::move(post)) {}

    void set(FileRules rules);
    bool answer(const std::shared_ptr<Exchange>& exchange, std::string_view path);
    bool answer_file(const std::shared_ptr<Exchange>& exchange, const std::string& file);

 private:
    using Client = std::shared_ptr<Exchange>;

    bool answer_special(const Client& client, std::string_view path);
    bool answer_favicon(const Client& client, std::string_view path);
    bool answer_candidate(const Client& client, std::string_view path, const std::string& file);
    bool answer_directory(const Client& client, std::string_view path, const std::string& directory);
    bool answer_listing(const Client& client, std::string_view path, const std::string& directory);
    /// `by_patterns`: only if they allow it. `kind` says what is there instead of a file.
    bool answer_regular(const Client& client, const std::string& file, bool by_patterns, FileKind& kind);
    void answer_content(const Client& client, const std::string& content, std::string_view type);
    void answer_kept(const Client& client, const std::string& file, KeptFile& kept);
    std::string_view type_of(const std::string& file) const;
    void answer_large(const Client& client, const std::shared_ptr<KeptFile>& large);
    void respond_large(const Client& client, const KeptFile& large);
    void learn(KeptFile& large, const FileFacts& facts) const;

    std::shared_ptr<KeptFile> load(const std::string& file, FileKind& kind);
    void close_unused_later();
    void pack(KeptFile& kept, const std::string& file);
    std::string fields_of(std::string_view type, std::string_view etag, std::int64_t modified,
                          bool varies) const;

    FileRules rules_;
    std::unordered_map<std::string_view, const FileRules::Special*> specials_;  // of rules_
    MimeTypes types_;
    FileCache cache_;
    After after_;
    std::shared_ptr<void> closing_;  // the timer, while there is an open file
    FactsBook facts_;
};

}  // namespace quicken::http
