// What has to be computed of a file that is not kept in memory: its checksum,
// and its compressed form if that pays. Done once for each version of it, off the loop's
// thread, however large it is.
//
// A version is known by its identity. If the file changed while it was read, or so shortly before that
// another edit could leave the identity the same, the facts are for those who waited alone
// and are not remembered.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "http/helper.hpp"
#include "http/open_file.hpp"

namespace quicken::http {

inline constexpr std::uint64_t k_pack_most = 4 << 20;  // bytes of a file that is compressed at most

struct FileFacts {
    std::string etag;                           // empty: it could not be read
    std::shared_ptr<const std::string> packed;  // nullptr: not wanted, or does not pay
    bool packing_tried = false;
};

/// On the loop's thread.
class FactsBook {
 public:
    explicit FactsBook(Post post) : post_(std::move(post)) {}

    /// nullptr: not known.
    const FileFacts* find(const FileIdentity& identity, bool packed) const;

    using Done = std::function<void(const FileFacts&)>;
    /// Has them computed; calls `done`, if it is any, on the loop's thread. False: too many files wait
    /// already, and it will not be called.
    bool prepare(const OpenFile& file, bool pack, Done done);

 private:
    using Queue = std::unordered_map<FileIdentity, std::vector<Done>, FileIdentityHash>;

    void start(const OpenFile& file, bool pack);
    void finish(const FileIdentity& identity, const FileFacts& facts, bool pack, bool remember);

    Post post_;
    std::unordered_map<FileIdentity, FileFacts, FileIdentityHash> known_;
    std::uint64_t packed_size_ = 0;                                          // bytes, of all in known_
    Queue waiting_[2];                                                       // without and with packing
    std::shared_ptr<FactsBook*> self_ = std::make_shared<FactsBook*>(this);  // gone: no more finish()
    Helper soon_;  // files of which the first answer waits; last members: they end before the rest
    Helper late_;  // larger ones
};

// Up to this size every answer has an ETag, the first one too: reading takes some 50 ms.
inline constexpr std::uint64_t k_wait_for_facts = 64 << 20;  // bytes

}  // namespace quicken::http
