// What the runs of a row have written: of each its beginning is compared with the first one's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace quicken::bench {

class Output {
 public:
    static constexpr std::size_t k_kept = 4096;  // bytes of each run

    void add(std::string_view text) {
        size_ += text.size();
        if (now_.size() < k_kept) now_.append(text.substr(0, k_kept - now_.size()));
    }

    /// The end of a run.
    void end() {
        if (!has_first_) first_ = now_, first_size_ = size_, has_first_ = true;
        differing_ += now_ != first_ || size_ != first_size_;
        now_.clear();
        size_ = 0;
    }

    const std::string& first() const { return first_; }
    std::size_t first_size() const { return first_size_; }
    /// Runs whose output was not the first one's.
    unsigned differing() const { return differing_; }

 private:
    std::string first_, now_;
    std::size_t first_size_ = 0, size_ = 0;
    bool has_first_ = false;
    unsigned differing_ = 0;
};

}  // namespace quicken::bench
