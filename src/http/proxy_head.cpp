#include "http/proxy_head.hpp"

#include <algorithm>
#include <array>

namespace quicken::http {

namespace {

constexpr std::array<std::string_view, 9> k_hop_by_hop{
    "connection", "keep-alive",        "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
    "trailer",    "transfer-encoding", "upgrade"};

// Written anew for each back end.
constexpr std::array<std::string_view, 6> k_replaced{
    "host", "content-length", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "expect"};

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// The next element of a list of fields' values (RFC 9110, 5.6.1), without blanks; takes it from `list`.
std::string_view take_element(std::string_view& list) {
    const std::size_t end = std::min(list.find(','), list.size());
    std::string_view element = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const std::size_t first = std::min(element.find_first_not_of(" \t"), element.size());
    element.remove_prefix(first);
    return element.substr(0, element.find_last_not_of(" \t") + 1);
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
    return -1;
}

std::string unquoted(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            result += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else {
            result += text[i];
        }
    }
    return result;
}

bool has_dot_segment(std::string_view path) {
    while (!path.empty()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        const std::string_view segment = path.substr(0, end);
        if (segment == "." || segment == "..") return true;
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return false;
}

/// RFC 3986's pchar and '/' stay; all else is quoted.
std::string quoted(std::string_view path) {
    constexpr std::string_view k_stay = "/-._~!$&'()*+,;=:@";
    constexpr std::string_view k_hex = "0123456789ABCDEF";
    std::string result;
    for (const char c : path) {
        const bool letter = lower(c) >= 'a' && lower(c) <= 'z';
        if (letter || (c >= '0' && c <= '9') || k_stay.find(c) != std::string_view::npos) {
            result += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            result += '%';
            result += k_hex[byte >> 4U];
            result += k_hex[byte & 15U];
        }
    }
    return result;
}

void add_line(std::string& head, std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
}

void add_forwarded(std::string& head, const Request& request) {
    std::string chain;
    for (const Field& field : request.fields) {
        if (same_name(field.name, "x-forwarded-for")) chain.append(field.value).append(", ");
    }
    // A Unix socket's client has no address; RFC 7239 has the word.
    chain += request.peer_address.empty() ? "unknown" : request.peer_address;
    add_line(head, "X-Forwarded-For", chain);
    if (request.has("host")) add_line(head, "X-Forwarded-Host", request.field("host"));
    add_line(head, "X-Forwarded-Proto", request.tls ? "https" : "http");
    add_line(head, "Via", request.minor == 0 ? "1.0 quicken" : "1.1 quicken");
}

}  // namespace

bool same_name(std::string_view one, std::string_view other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

void HopByHop::add(std::string_view value) {
    while (!value.empty()) listed_.emplace_back(take_element(value));
}

bool HopByHop::has(std::string_view name) const {
    const auto same = [name](std::string_view other) { return same_name(name, other); };
    return std::any_of(k_hop_by_hop.begin(), k_hop_by_hop.end(), same) ||
           std::any_of(listed_.begin(), listed_.end(), same);
}

std::size_t hops_of(const Request& request) {
    std::size_t hops = 0;
    for (const Field& field : request.fields) {
        if (!same_name(field.name, "via")) continue;
        std::string_view list = field.value;
        while (!list.empty()) hops += take_element(list).empty() ? 0U : 1U;
    }
    return hops;
}

bool wants_websocket(const Request& request) {
    return request.upgrade && request.minor == 1 && !request.has_body() &&
           same_name(request.field("upgrade"), "websocket");
}

std::string head_for(const Request& request, std::string_view target, std::string_view host) {
    HopByHop hop_by_hop;
    for (const Field& field : request.fields) {
        if (same_name(field.name, "connection")) hop_by_hop.add(field.value);
    }
    std::string head;
    head.reserve(1024);
    head.append(request.method).append(" ").append(target).append(" HTTP/1.1\r\n");
    add_line(head, "Host", host);
    for (const Field& field : request.fields) {
        const auto same = [&field](std::string_view name) { return same_name(field.name, name); };
        if (hop_by_hop.has(field.name) || std::any_of(k_replaced.begin(), k_replaced.end(), same)) continue;
        add_line(head, field.name, field.value);
    }
    add_forwarded(head, request);
    if (request.chunked) {
        add_line(head, "Transfer-Encoding", "chunked");
    } else if (request.content_length) {
        add_line(head, "Content-Length", std::to_string(*request.content_length));
    }
    if (wants_websocket(request)) head += "Connection: upgrade\r\nUpgrade: websocket\r\n";
    return head += "\r\n";
}

std::string rest_of_target(std::string_view target, std::string_view path, std::string_view name) {
    target = target.substr(0, target.find('#'));
    const std::size_t end = std::min(target.find('?'), target.size());
    const std::string_view query = target.substr(end);
    const std::string_view sent = target.substr(0, end);
    if (sent.starts_with(name) && !has_dot_segment(unquoted(sent.substr(name.size())))) {
        return std::string(sent.substr(name.size())).append(query);
    }
    return quoted(path.substr(name.size())).append(query);
}

}  // namespace quicken::http
