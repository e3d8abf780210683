// The order for a path: special file, bound folders, fallbacks, favicon.
//
// Symbolic links are followed, as in quick_server: what the owner of a folder
// links is served. A file that may not be read is none (404), so is all that is not a regular file. Out of
// descriptors or memory: 503.
//
// A small file is answered from memory (file_cache.hpp); of a larger one the checksum and the
// compressed form are made once off the loop's thread (file_facts.hpp) and its first answer waits for them.
// That of a file of more than 64 MiB does not wait, and goes without an ETag, but if the request compares
// one.
#include "http/static_files.hpp"

#include "http/compression.hpp"
#include "http/file_rules.hpp"
#include "http/listing.hpp"
#include "http/path.hpp"
#include "http/static_answer.hpp"

namespace quicken::http {

namespace {

constexpr int k_level = 6;
constexpr double k_close_after = 1;  // seconds
constexpr std::string_view k_favicon = "/favicon.ico";
constexpr std::string_view k_retry_after = "1";  // seconds

void answer_busy(const std::shared_ptr<Exchange>& client) {
    Response response = error_page(503);
    response.add("Retry-After", k_retry_after);
    client->respond(std::move(response));
}

/// To the same path with "/". Written anew from the normal path: no target can lead to another host.
void redirect_to_directory(const std::shared_ptr<Exchange>& client, std::string_view path,
                           const Policy& policy) {
    const Request& request = client->request();
    Response response;
    response.status = 301;
    response.add("Location", quote_path(path) + "/" + std::string(query_of(request.target)));
    add_cross_origin(request, response, policy);
    client->respond(std::move(response));
}

bool compares_version(const Request& request) {
    return request.has("if-none-match") || request.has("if-match") || request.has("if-range");
}

}  // namespace

void StaticFiles::set(FileRules rules) {
    rules_ = std::move(rules);
    specials_.clear();
    for (const FileRules::Special& special : rules_.specials) specials_[special.name] = &special;
    cache_.clear();
}

bool StaticFiles::answer(const Client& client, std::string_view path) {
    const std::string_view method = client->request().method;
    if (method != "GET" && method != "HEAD") return false;
    if (answer_special(client, path)) return true;
    if (has_hidden_segment(path)) return false;
    if (any_candidate(rules_, path,
                      [&](const std::string& file) { return answer_candidate(client, path, file); }))
        return true;
    return answer_favicon(client, path);
}

bool StaticFiles::answer_file(const Client& client, const std::string& file) {
    FileKind kind = FileKind::none;
    return answer_regular(client, file, false, kind);
}

bool StaticFiles::answer_special(const Client& client, std::string_view path) {
    if (specials_.empty()) return false;
    const auto found = specials_.find(path);
    if (found == specials_.end()) return false;
    const FileRules::Special& special = *found->second;
    if (!special.path.empty()) return answer_file(client, special.path);
    answer_content(client, special.content, special.type.empty() ? types_.of(special.name) : special.type);
    return true;
}

bool StaticFiles::answer_favicon(const Client& client, std::string_view path) {
    if (!path.ends_with(k_favicon) || (path != k_favicon && !rules_.favicon_everywhere)) return false;
    if (!rules_.favicon.empty() && answer_file(client, rules_.favicon)) return true;
    if (rules_.favicon_empty) answer_content(client, {}, types_.of(k_favicon));
    return rules_.favicon_empty;
}

bool StaticFiles::answer_candidate(const Client& client, std::string_view path, const std::string& file) {
    if (path.ends_with('/')) return answer_directory(client, path, file);
    FileKind kind = FileKind::none;
    if (answer_regular(client, file, true, kind)) return true;
    if (kind != FileKind::directory || is_blocked(rules_, file)) return false;
    redirect_to_directory(client, path, rules_.policy);
    return true;
}

bool StaticFiles::answer_directory(const Client& client, std::string_view path,
                                   const std::string& directory) {
    if (is_blocked(rules_, directory.substr(0, directory.size() - 1))) return false;
    for (const char* name : {"index.html", "index.htm"}) {
        FileKind kind = FileKind::none;
        if (answer_regular(client, directory + name, true, kind)) return true;
    }
    return rules_.directory_listing && answer_listing(client, path, directory);
}

bool StaticFiles::answer_listing(const Client& client, std::string_view path, const std::string& directory) {
    const auto page = directory_page(directory, path, [this](const std::string& file, bool is_directory) {
        return is_directory ? !is_blocked(rules_, file) : is_allowed(rules_, file);
    });
    if (!page) return false;
    answer_content(client, *page, "text/html; charset=utf-8");
    return true;
}

bool StaticFiles::answer_regular(const Client& client, const std::string& file, bool by_patterns,
                                 FileKind& kind) {
    std::shared_ptr<KeptFile> kept = cache_.find(file);
    if (!kept) kept = load(file, kind);
    if (!kept && kind == FileKind::busy) {
        answer_busy(client);
        return true;
    }
    if (!kept || (by_patterns && !kept->allowed)) return false;
    if (kept->content) {
        answer_kept(client, file, *kept);
    } else {
        answer_large(client, kept);
    }
    return true;
}

/// What a script has said of a special file holds for that file, wherever it is asked for.
std::string_view StaticFiles::type_of(const std::string& file) const {
    for (const FileRules::Special& special : rules_.specials) {
        if (special.path == file && !special.type.empty()) return special.type;
    }
    return types_.of(file);
}

std::shared_ptr<KeptFile> StaticFiles::load(const std::string& file, FileKind& kind) {
    kind = kind_of(file);
    if (kind != FileKind::regular) return nullptr;
    std::shared_ptr<KeptFile> kept = cache_.load(file, kind);
    if (!kept) return nullptr;
    kept->type = type_of(file);
    kept->allowed = is_allowed(rules_, file);
    const std::uint64_t size = kept->identity.size;
    kept->varies = rules_.policy.compress && size <= k_pack_most && pays_to_compress(kept->type, size);
    if (kept->content) {
        kept->etag = etag_of(*kept->content);
        kept->fields = fields_of(kept->type, kept->etag, kept->identity.modified(), kept->varies);
    } else if (cache_.has_open() && !closing_) {
        close_unused_later();
    }
    return kept;
}

void StaticFiles::close_unused_later() {
    closing_ = after_(k_close_after, [this] {
        if (cache_.close_unused()) {
            close_unused_later();
        } else {
            closing_.reset();
        }
    });
}

void StaticFiles::answer_content(const Client& client, const std::string& content, std::string_view type) {
    Response response;
    response.add("Content-Type", type);
    response.pieces.emplace_back(content);
    represent(client->request(), response, rules_.policy);
    add_cross_origin(client->request(), response, rules_.policy);
    client->respond(std::move(response));
}

void StaticFiles::answer_kept(const Client& client, const std::string& file, KeptFile& kept) {
    const Request& request = client->request();
    if (kept.varies && !kept.packing_tried && wants_packed(request)) pack(kept, file);
    client->respond(answer_of(request,
                              {kept.fields, kept.etag, kept.identity.modified(), kept.content->size(),
                               kept.varies, kept.content, kept.packed},
                              rules_.policy));
}

void StaticFiles::answer_large(const Client& client, const std::shared_ptr<KeptFile>& large) {
    const Request& request = client->request();
    const bool packed = large->varies && wants_packed(request);
    if (!large->etag.empty() && (!packed || large->packing_tried)) return respond_large(client, *large);
    const OpenFile file{FileKind::regular, large->fd, large->identity};
    const auto answer = [this, client, large](const FileFacts& facts) {
        learn(*large, facts);
        respond_large(client, *large);
    };
    if (const FileFacts* known = facts_.find(file.identity, packed)) return answer(*known);
    if (file.identity.size > k_wait_for_facts && !compares_version(request)) {
        facts_.prepare(file, false, nullptr);  // for later requests; this one goes on without them
        answer({});
    } else if (!facts_.prepare(file, packed, answer)) {
        answer_busy(client);
    }
}

void StaticFiles::learn(KeptFile& large, const FileFacts& facts) const {
    large.etag = facts.etag;
    large.packed = facts.packed;
    large.packing_tried = facts.packing_tried;
    large.fields = fields_of(large.type, large.etag, large.identity.modified(), large.varies);
}

void StaticFiles::respond_large(const Client& client, const KeptFile& large) {
    const std::uint64_t size = large.identity.size;
    client->respond(answer_of(client->request(),
                              {large.fields, large.etag, large.identity.modified(), size, large.varies,
                               FileSlice{large.fd, 0, size}, large.packed},
                              rules_.policy));
}

// 64 KiB take 1 ms, once for a version of a file that is asked for by who takes it.
void StaticFiles::pack(KeptFile& kept, const std::string& file) {
    kept.packing_tried = true;
    std::string packed = gzip(*kept.content, k_level);
    if (packed.size() < kept.content->size())
        cache_.keep_packed(file, kept, std::make_shared<const std::string>(std::move(packed)));
}

std::string StaticFiles::fields_of(std::string_view type, std::string_view etag, std::int64_t modified,
                                   bool varies) const {
    Response lines;
    lines.add("Content-Type", type);
    lines.add("Last-Modified", http_date(modified));
    if (!etag.empty()) lines.add("ETag", etag);
    lines.add("Cache-Control", cache_control(rules_.policy.max_age));
    lines.add("Accept-Ranges", "bytes");
    if (varies) lines.add("Vary", "Accept-Encoding");
    return std::move(lines.fields);
}

}  // namespace quicken::http
