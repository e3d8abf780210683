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

constexpr std::string_view k_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view k_digits = "0123456789";

/// What a head can begin with: RFC 9110, 5.6.2. Looked at before the rest has come, as what is not HTTP (TLS)
/// may never have the end that a head has.
bool begins_token(char c) {
    constexpr std::string_view k_others = "!#$%&'*+-.^_`|~";
    return k_letters.find(c) != std::string_view::npos || k_digits.find(c) != std::string_view::npos ||
           k_others.find(c) != std::string_view::npos;
}

/// RFC 3986's host and port, but for a comma, which two Hosts made one would have.
bool is_host(std::string_view host) {
    constexpr std::string_view k_in_address = "0123456789abcdefABCDEF:.";
    constexpr std::string_view k_in_name = "-._~%!$&'()*+;=";
    std::size_t end = 0;
    if (host.starts_with('[')) {
        end = host.find_first_not_of(k_in_address, 1);
        if (end == std::string_view::npos || host[end++] != ']') return false;
    } else {
        const auto fits = [&](char c) {
            return k_letters.find(c) != std::string_view::npos ||
                   k_digits.find(c) != std::string_view::npos || k_in_name.find(c) != std::string_view::npos;
        };
        end = static_cast<std::size_t>(std::find_if_not(host.begin(), host.end(), fits) - host.begin());
    }
    const std::string_view port = host.substr(end);
    return port.empty() || (port.front() == ':' && port.size() <= 6 &&
                            port.find_first_not_of(k_digits, 1) == std::string_view::npos);
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
            if (!is_host(view(value))) refuse({400, "Bad Host"}, error);
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
           (line[6] != '1' || line[8] > '1');
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
    // A CR alone may be half of an empty line.
    if (seen_ == 0 && !begins_token(input.front()) && input != "\r") return k_bad_syntax;
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
    Parser() {
        // This one sees the body alone: so it is told what kind it is by a head of our own.
        constexpr std::string_view k_head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        ErrorCode error;
        body_limit(boost::none);
        put({k_head.data(), k_head.size()}, error);
    }

    void on_chunk_header_impl(std::uint64_t size, beast::string_view, ErrorCode&) override { left = size; }
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, ErrorCode&) override {
        part = view(body);
        left -= body.size();
        return body.size();
    }

    std::uint64_t left = 0;  // bytes of the chunk that are still to come
    std::string_view part;
};

Chunks::Chunks(const Settings& settings) : settings_(settings), parser_(std::make_unique<Parser>()) {}

Chunks::~Chunks() = default;

/// `input` begins with a chunk's line, or with the line end of the chunk before it, and that line.
bool Chunks::too_long(std::string_view input) const {
    const std::size_t begin = input.starts_with("\r\n") ? 2 : 0;
    const std::size_t end = std::min(input.find('\n', begin), input.size());
    return end - begin > settings_.max_chunk_line + 1;  // its CR
}

Chunks::Found Chunks::next(std::string_view input, std::size_t& used, std::string_view& part) {
    used = 0;
    // Before a chunk's line at least this much follows ("0\r\n\r\n"), and Beast's parser asserts it. Of a
    // chunk's bytes each is given away as it comes: the client may wait for an answer to it.
    constexpr std::size_t k_least = 5;
    while (input.size() - used >= (parser_->left > 0 ? 1 : k_least)) {
        const std::string_view rest = input.substr(used);
        if (parser_->left == 0 && too_long(rest)) return Found::bad;
        ErrorCode error;
        parser_->part = {};
        const std::size_t size = parser_->put({rest.data(), rest.size()}, error);
        used += size;
        // What is not used of a line is a trailer's.
        if (error == beast::http::error::need_more) {
            return rest.size() - size > settings_.max_header ? Found::bad : Found::more;
        }
        if (error) return Found::bad;
        if (parser_->is_done()) return size > settings_.max_header ? Found::bad : Found::end;
        if (!parser_->part.empty()) {
            part = parser_->part;
            return Found::part;
        }
    }
    return Found::more;
}

}  // namespace quicken::http
