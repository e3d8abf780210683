#include "http/file_facts.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "http/checksum.hpp"
#include "http/representation.hpp"

namespace quicken::http {

namespace {

constexpr std::size_t k_most_known = 4096;
constexpr std::uint64_t k_most_packed = 64 << 20;  // bytes
constexpr std::size_t k_most_waiting = 256;        // files
constexpr std::size_t k_block = 256 << 10;         // bytes
constexpr int k_level = 6;

/// Empty on an error, or if it is to stop.
std::string checksum_of(const Fd& fd, const std::atomic<bool>& stop) {
    std::string block(k_block, '\0');
    std::uint32_t sum = 0;
    off_t offset = 0;
    while (!stop) {
        const ssize_t size = pread(fd.get(), block.data(), block.size(), offset);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return {};
        if (size == 0) return etag_of_checksum(sum);
        sum = add_to_checksum(sum, {block.data(), static_cast<std::size_t>(size)});
        offset += size;
    }
    return {};
}

FileFacts facts_of(const OpenFile& file, bool pack, const std::atomic<bool>& stop) {
    FileFacts facts;
    if (!pack) {
        facts.etag = checksum_of(*file.fd, stop);
        return facts;
    }
    const auto content = read_file(*file.fd, file.identity.size);
    if (!content) return facts;
    facts.etag = etag_of(*content);
    facts.packing_tried = true;
    std::string packed = gzip(*content, k_level);
    if (packed.size() < content->size())
        facts.packed = std::make_shared<const std::string>(std::move(packed));
    return facts;
}

bool is_unchanged(const OpenFile& file) {
    struct stat status {};
    return fstat(file.fd->get(), &status) == 0 && FileIdentity(status) == file.identity;
}

}  // namespace

const FileFacts* FactsBook::find(const FileIdentity& identity, bool packed) const {
    const auto found = known_.find(identity);
    if (found == known_.end() || (packed && !found->second.packing_tried)) return nullptr;
    return &found->second;
}

bool FactsBook::prepare(const OpenFile& file, bool pack, Done done) {
    Queue& queue = waiting_[pack ? 1 : 0];
    auto found = queue.find(file.identity);
    if (found == queue.end()) {
        // Who joins one that is under way adds no work.
        if (waiting_[0].size() + waiting_[1].size() >= k_most_waiting) return false;
        found = queue.try_emplace(file.identity).first;
        try {
            start(file, pack);
        } catch (const std::system_error&) {  // no thread can be had
            queue.erase(found);
            return false;
        }
    }
    if (done) found->second.push_back(std::move(done));
    return true;
}

void FactsBook::start(const OpenFile& file, bool pack) {
    Helper& helper = file.identity.size <= k_wait_for_facts ? soon_ : late_;
    helper.run([file, pack, post = post_, self = std::weak_ptr(self_)](const std::atomic<bool>& stop) {
        const bool recent = file.identity.is_recent();
        FileFacts facts;
        try {
            facts = facts_of(file, pack, stop);
        } catch (const std::exception&) {
            // Out of memory: answered without them, as if it could not be read.
        }
        const bool remember = !recent && !facts.etag.empty() && is_unchanged(file);
        post([self, identity = file.identity, facts = std::move(facts), pack, remember] {
            if (const auto book = self.lock()) (*book)->finish(identity, facts, pack, remember);
        });
    });
}

void FactsBook::finish(const FileIdentity& identity, const FileFacts& facts, bool pack, bool remember) {
    if (remember) {
        if (known_.size() >= k_most_known || packed_size_ > k_most_packed) {
            known_.clear();
            packed_size_ = 0;
        }
        FileFacts& known = known_[identity];
        if (!known.packing_tried) {
            known = facts;
            packed_size_ += facts.packed ? facts.packed->size() : 0;
        }
    }
    const auto waiting = waiting_[pack ? 1 : 0].extract(identity);
    for (const Done& done : waiting.mapped()) done(facts);
}

}  // namespace quicken::http
