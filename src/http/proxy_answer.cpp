// One object of Beast's parser an answer: basic_parser calls what is overridden
// below. A transfer coding other than "chunked" by itself would have to be
// undone or passed on; we announced none (no TE), so that is no answer.
#include "http/proxy_answer.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/proxy_head.hpp"

namespace quicken::http {

namespace beast = boost::beast;
using Code = beast::error_code;
using Text = beast::string_view;

namespace {

constexpr std::uint32_t k_head_limit = 64 << 10;  // bytes of an answer's head
constexpr std::size_t k_line_limit = 16 << 10;    // of a chunk's line; of all trailers
constexpr std::size_t k_status_end = 12;          // of "HTTP/1.1 200"

std::string_view view(Text text) {
    return {text.data(), text.size()};
}

/// RFC 9112, 4, has a blank there even if no reason follows, and Beast's parser insists on it; many do not
/// send it.
bool lacks_blank(std::string_view head) {
    return head.size() > k_status_end && head.starts_with("HTTP/1.") && head[k_status_end] == '\r';
}

}  // namespace

class AnswerParser::Parser final : public beast::http::basic_parser<false> {
 public:
    explicit Parser(bool head_only) {
        header_limit(k_head_limit);
        body_limit(boost::none);
        eager(true);
        skip(head_only);
    }

    Response head;
    HopByHop hop_by_hop;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string upgrade;
    std::string body;

    /// Not before a chunk's line: Beast's parser asserts that it never sees less than the shortest end of a
    /// body once it has seen that end's first line. Nothing of the body waits meanwhile.
    bool wants(std::size_t size) const {
        constexpr std::size_t k_least = 5;  // "0\r\n\r\n"
        return size >= k_least || (size > 0 && (!is_header_done() || !chunked() || chunk_left_ > 0));
    }

 private:
    void on_request_impl(beast::http::verb, Text, Text, int, Code&) override {}

    void on_response_impl(int code, Text reason, int, Code& error) override {
        if (code < 100 || code > 599) error = beast::http::error::bad_status;
        head.status = static_cast<unsigned>(code);
        head.reason = view(reason);
    }

    void on_field_impl(beast::http::field field, Text name, Text value, Code& error) override {
        if (is_header_done()) {  // a trailer: hop-by-hop, as we announced no TE
            trailers_ += name.size() + value.size();
            if (trailers_ > k_line_limit) error = beast::http::error::header_limit;
            return;
        }
        if (field == beast::http::field::transfer_encoding && !same_name(view(value), "chunked")) {
            error = beast::http::error::bad_transfer_encoding;
        }
        if (field == beast::http::field::connection) hop_by_hop.add(view(value));
        if (field == beast::http::field::upgrade) upgrade = view(value);
        if (field != beast::http::field::content_length) fields.emplace_back(view(name), view(value));
    }

    void on_header_impl(Code&) override {
        for (const auto& [name, value] : fields) {
            if (!hop_by_hop.has(name)) head.add(name, value);
        }
    }

    void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}

    std::size_t on_body_impl(Text text, Code&) override {
        body.append(text.data(), text.size());
        return text.size();
    }

    void on_chunk_header_impl(std::uint64_t size, Text extensions, Code& error) override {
        if (extensions.size() > k_line_limit) error = beast::http::error::bad_chunk_extension;
        chunk_left_ = size;
    }

    std::size_t on_chunk_body_impl(std::uint64_t, Text text, Code&) override {
        body.append(text.data(), text.size());
        chunk_left_ -= text.size();
        return text.size();
    }

    void on_finish_impl(Code&) override {}

    std::uint64_t chunk_left_ = 0;  // bytes of the chunk that are still to come
    std::size_t trailers_ = 0;      // bytes
};

AnswerParser::AnswerParser(bool head_only)
    : parser_(std::make_unique<Parser>(head_only)), head_only_(head_only) {}

AnswerParser::~AnswerParser() = default;

bool AnswerParser::feed(std::string_view bytes) {
    std::string joined;
    if (!rest_.empty()) {
        joined = std::exchange(rest_, {}).append(bytes);
        bytes = joined;
    }
    // Nothing of a head is used before its end has come: what has been seen of it is looked at anew.
    if (!has_head() && lacks_blank(bytes)) {
        std::string mended(bytes.substr(0, k_status_end));
        mended.append(" ").append(bytes.substr(k_status_end));
        joined = std::move(mended);
        bytes = joined;
    }
    Code error;
    // More than one turn where the parser wants the rest of a head or of a chunk's line in one piece.
    while (!error && !is_done() && parser_->wants(bytes.size())) {
        begun_ = true;
        bytes.remove_prefix(parser_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error));
    }
    rest_ = bytes;
    if (error && error != beast::http::error::need_more) return false;
    // Of a body only a chunk's line and the trailers wait for their end, for which Beast has no limit.
    return !has_head() || is_done() || rest_.size() <= k_line_limit;
}

bool AnswerParser::feed_end() {
    if (!parser_->got_some()) return false;
    if (is_done()) return true;
    Code error;
    parser_->put_eof(error);
    return !error;
}

void AnswerParser::restart() {
    parser_ = std::make_unique<Parser>(head_only_);
}

bool AnswerParser::has_head() const {
    return parser_->is_header_done();
}

bool AnswerParser::is_done() const {
    return parser_->is_done();
}

bool AnswerParser::has_begun() const {
    return begun_;
}

bool AnswerParser::keeps_alive() const {
    return parser_->is_done() && parser_->keep_alive() && rest_.empty();
}

Response AnswerParser::take_head() {
    return std::move(parser_->head);
}

unsigned AnswerParser::status() const {
    return parser_->head.status;
}

std::optional<std::uint64_t> AnswerParser::content_length() const {
    const auto length = parser_->content_length();
    return length ? std::optional(*length) : std::nullopt;
}

std::string AnswerParser::take_body() {
    return std::exchange(parser_->body, {});
}

std::string AnswerParser::take_rest() {
    return std::exchange(rest_, {});
}

const std::string& AnswerParser::upgrade() const {
    return parser_->upgrade;
}

}  // namespace quicken::http
