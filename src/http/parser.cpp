// See parser.hpp. Beast's basic_parser is used with callbacks of our own, so
// that fields are views into the head and nothing is allocated for them.
#include "http/parser.hpp"

#include <strings.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstring>

namespace quicken::http {
namespace {

namespace beast = boost::beast;
using beast::http::field;
using ErrorCode = beast::error_code;

constexpr Refusal k_bad_syntax{400, "Bad request syntax"};
constexpr Refusal k_folded{400, "Folded line"};

std::string_view view(beast::string_view text) {
    return {text.data(), text.size()};
}

bool is_chunked(std::string_view coding) {
    return coding.size() == 7 && strncasecmp(coding.data(), "chunked", 7) == 0;
}

/// Only "chunked" is understood. Several of it, or a list, could be read in different ways.
Refusal check_transfer_encoding(std::string_view value, unsigned minor, bool repeated) {
    if (minor == 0) return {400, "Transfer-Encoding in HTTP/1.0"};
    if (repeated) return {400, "Repeated Transfer-Encoding"};
    if (is_chunked(value)) return {};
    if (value.empty()) return {400, "Bad Transfer-Encoding"};
    std::size_t chunked = 0;
    std::size_t others = 0;
    for (std::size_t begin = 0; begin <= value.size();) {
        const std::size_t end = std::min(value.find(',', begin), value.size());
        std::string_view coding = value.substr(begin, end - begin);
        while (!coding.empty() && (coding.front() == ' ' || coding.front() == '\t')) coding.remove_prefix(1);
        while (!coding.empty() && (coding.back() == ' ' || coding.back() == '\t')) coding.remove_suffix(1);
        ++(is_chunked(coding) ? chunked : others);
        begin = end + 1;
    }
    return others > 0 ? Refusal{501, "Unknown Transfer-Encoding"} : Refusal{400, "Bad Transfer-Encoding"};
}

/// What basic_parser wants to be told, with nothing done.
struct QuietParser : beast::http::basic_parser<true> {
    void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int,
                         ErrorCode&) override {}
    void on_response_impl(int, beast::string_view, int, ErrorCode&) override {}
    void on_field_impl(field, beast::string_view, beast::string_view, ErrorCode&) override {}
    void on_header_impl(ErrorCode&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
    std::size_t on_body_impl(beast::string_view body, ErrorCode&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, beast::string_view, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, ErrorCode&) override {
        return body.size();
    }
    void on_finish_impl(ErrorCode&) override {}
};

class HeadParser final : public QuietParser {
 public:
    HeadParser(const Settings& settings, Request& request) : settings_(settings), request_(request) {
        header_limit(static_cast<std::uint32_t>(std::min<std::uint64_t>(settings.max_header, 1U << 30)));
        body_limit(boost::none);
    }

    const Refusal& refusal() const { return refusal_; }
    unsigned hosts() const { return hosts_; }

 private:
    void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version,
                         ErrorCode& error) override {
        request_.method = view(method);
        request_.target = view(target);
        request_.minor = version == 10 ? 0 : 1;
        if (target.size() > settings_.max_target) refuse({414, {}}, error);
    }

    void on_field_impl(field name, beast::string_view text, beast::string_view value,
                       ErrorCode& error) override {
        if (request_.fields.size() >= settings_.max_fields) return refuse({431, "Too many fields"}, error);
        request_.fields.push_back({view(text), view(value)});
        if (name == field::host) {
            ++hosts_;
        } else if (name == field::content_length) {
            const bool list = view(value).find(',') != std::string_view::npos;
            if (list || lengths_++ > 0) refuse({400, "Repeated Content-Length"}, error);
        } else if (name == field::transfer_encoding) {
            if (Refusal bad = check_transfer_encoding(view(value), request_.minor, encodings_++ > 0)) {
                refuse(bad, error);
            }
        }
    }

    void refuse(const Refusal& why, ErrorCode& error) {
        refusal_ = why;
        error = beast::http::error::bad_value;
    }

    const Settings& settings_;
    Request& request_;
    Refusal refusal_;
    unsigned hosts_ = 0;
    unsigned lengths_ = 0;
    unsigned encodings_ = 0;
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Whether the request line ends with a version that is well-formed, but not ours.
bool has_other_version(std::string_view head) {
    std::string_view line = head.substr(0, head.find('\r'));
    if (line.size() < 9) return false;
    line.remove_prefix(line.size() - 9);
    return line.substr(0, 6) == " HTTP/" && is_digit(line[6]) && line[7] == '.' && is_digit(line[8]) &&
           line[6] != '1';
}

Refusal refusal_of(const ErrorCode& error, std::string_view head) {
    if (error == beast::http::error::header_limit) return {431, {}};
    if (error == beast::http::error::bad_version && has_other_version(head)) return {505, {}};
    return k_bad_syntax;
}

/// Of an absolute URI what follows the authority; RFC 9112, 3.2.
bool set_target(Request& request) {
    std::string_view& target = request.target;
    if (!target.empty() && target.front() == '/') return true;
    if (target == "*") return request.method == "OPTIONS";
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (target.size() <= scheme.size() || strncasecmp(target.data(), scheme.data(), scheme.size()) != 0) {
            continue;
        }
        const std::size_t end = std::min(target.find_first_of("/?#", scheme.size()), target.size());
        if (end == scheme.size()) return false;
        if (end < target.size() && target[end] != '/') return false;
        target = end == target.size() ? std::string_view("/") : target.substr(end);
        return true;
    }
    return false;
}

}  // namespace

Refusal HeadScan::check_size(std::string_view input, const Settings& settings) const {
    // The method and the version of a request line that is still to end may take this much.
    constexpr std::size_t k_around_target = 64;
    if (line_ == 0 && input.size() > settings.max_target + k_around_target) return {414, {}};
    if (input.size() > settings.max_header) return {431, {}};
    return {};
}

bool HeadScan::is_folded(std::string_view input) const {
    return line_ > 0 && line_ < input.size() && (input[line_] == ' ' || input[line_] == '\t');
}

Refusal HeadScan::scan(std::string_view input, const Settings& settings) {
    while (seen_ < input.size()) {
        const void* found = std::memchr(input.data() + seen_, '\n', input.size() - seen_);
        if (found == nullptr) {
            seen_ = input.size();
            break;
        }
        const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
        if (is_folded(input)) return k_folded;
        if (end == 0 || input[end - 1] != '\r') return {400, "Bare line feed"};
        if (line_ == 0 && end > settings.max_target + 64) return {414, {}};
        if (end == line_ + 1) {
            size_ = end + 1;
            return size_ > settings.max_header ? Refusal{431, {}} : Refusal{};
        }
        seen_ = line_ = end + 1;
    }
    if (is_folded(input)) return k_folded;
    return check_size(input, settings);
}

Refusal parse_head(std::string_view head, const Settings& settings, Request& request) {
    request.fields.clear();
    HeadParser parser(settings, request);
    ErrorCode error;
    parser.put({head.data(), head.size()}, error);
    if (parser.refusal()) return parser.refusal();
    if (error) return refusal_of(error, head);
    if (!parser.is_header_done()) return k_bad_syntax;
    if (parser.hosts() > 1) return {400, "Repeated Host"};
    if (parser.hosts() == 0 && request.minor == 1) return {400, "Host is missing"};
    if (!set_target(request)) return {400, "Bad target"};
    request.chunked = parser.chunked();
    request.content_length.reset();
    if (const auto length = parser.content_length()) request.content_length = *length;
    request.keep_alive = parser.keep_alive();
    request.upgrade = parser.upgrade();
    return {};
}

struct Chunks::Parser final : QuietParser {
    explicit Parser(const Settings& settings) : max_line(settings.max_chunk_line) {
        // This one sees the body alone: so it is told what kind it is by a head of our own.
        constexpr std::string_view k_head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        ErrorCode error;
        body_limit(boost::none);
        put({k_head.data(), k_head.size()}, error);
    }

    void on_chunk_header_impl(std::uint64_t, beast::string_view extension, ErrorCode& error) override {
        if (extension.size() > max_line) error = beast::http::error::bad_chunk_extension;
    }
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, ErrorCode&) override {
        part = view(body);
        return body.size();
    }

    std::uint64_t max_line;
    std::string_view part;
};

Chunks::Chunks(const Settings& settings) : settings_(settings), parser_(std::make_unique<Parser>(settings)) {}

Chunks::~Chunks() = default;

bool Chunks::too_long(std::string_view input) const {
    // The line end before a chunk's size belongs to it for the parser.
    const std::size_t begin = input.substr(0, 2) == "\r\n" ? 2 : 0;
    const bool in_trailer = input.find('\n', begin) != std::string_view::npos;
    return input.size() > begin + (in_trailer ? settings_.max_header : settings_.max_chunk_line);
}

Chunks::Found Chunks::next(std::string_view input, std::size_t& used, std::string_view& part) {
    used = 0;
    // At any place within a body at least this much follows ("0\r\n\r\n"), and Beast's parser asserts it.
    constexpr std::size_t k_least = 5;
    while (input.size() - used >= k_least) {
        const std::string_view rest = input.substr(used);
        ErrorCode error;
        parser_->part = {};
        used += parser_->put({rest.data(), rest.size()}, error);
        if (error == beast::http::error::need_more) {
            return too_long(input.substr(used)) ? Found::bad : Found::more;
        }
        if (error) return Found::bad;
        if (parser_->is_done()) return Found::end;
        if (!parser_->part.empty()) {
            part = parser_->part;
            return Found::part;
        }
    }
    return Found::more;
}

}  // namespace quicken::http
