// Text in fixed buffers, freestanding. Nothing is ever truncated: what does
// not fit makes the whole text void, and that can be asked.
#pragma once

#include <cstddef>
#include <string_view>

namespace quicken {

inline bool starts_with(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && std::string_view(text.data(), prefix.size()) == prefix;
}

/// The same of a text whose length nobody needs to know: an environment is long.
inline bool starts_with(const char* text, std::string_view prefix) {
    for (const char c : prefix) {
        if (*text++ != c) return false;
    }
    return true;
}

inline bool ends_with(std::string_view text, std::string_view suffix) {
    return text.size() >= suffix.size() &&
           std::string_view(text.data() + (text.size() - suffix.size()), suffix.size()) == suffix;
}

inline bool contains(std::string_view text, char wanted) {
    for (const char c : text) {
        if (c == wanted) return true;
    }
    return false;
}

/// Takes off `text` what precedes the first `separator` and the separator
/// itself; all of it if there is none.
inline std::string_view take_until(std::string_view& text, char separator) {
    std::size_t length = 0;
    while (length < text.size() && text[length] != separator) ++length;
    const std::string_view taken(text.data(), length);
    text.remove_prefix(length < text.size() ? length + 1 : length);
    return taken;
}

/// Appends to a buffer that it does not own and keeps it NUL-terminated.
class TextBuffer {
 public:
    /// `size` counts the NUL and is at least 1.
    TextBuffer(char* buffer, std::size_t size) : begin_(buffer), room_(size - 1) { *begin_ = '\0'; }

    template <std::size_t N>
    explicit TextBuffer(char (&buffer)[N]) : TextBuffer(buffer, N) {}

    TextBuffer& append(std::string_view text) {
        if (text.size() > room_ - length_) fits_ = false;
        if (!fits_) return *this;
        for (const char c : text) begin_[length_++] = c;
        begin_[length_] = '\0';
        return *this;
    }

    /// Takes over what somebody else has written to the front of the buffer.
    void adopt(std::size_t length) {
        length_ = length;
        begin_[length_] = '\0';
    }

    /// Empties a text that did not fit: nobody is to see a part of it.
    bool finish() {
        if (!fits_) adopt(0);
        return fits_;
    }

    std::string_view view() const { return {begin_, length_}; }

 private:
    char* begin_;
    std::size_t room_;
    std::size_t length_ = 0;
    bool fits_ = true;
};

}  // namespace quicken
