// See routes.hpp.
#include "http/routes.hpp"

#include <algorithm>

namespace quicken::http {
namespace {

bool ends_mask(std::string_view rest) {
    return rest.empty() || rest[0] == '/' || rest[0] == '?' || rest[0] == '#';
}

/// Segments after the mask, as take_apart() counts them.
size_t count_of(std::string_view rest) {
    return take_apart(rest.substr(0, rest.find_first_of("?#"))).paths.size();
}

bool match_named(std::string_view mask, std::string_view target, Match& match) {
    while (!mask.empty()) {
        const size_t colon = mask.find("/:");
        const std::string_view fixed = mask.substr(0, colon == std::string_view::npos ? colon : colon + 1);
        if (target.substr(0, fixed.size()) != fixed) {
            return false;
        }
        mask.remove_prefix(fixed.size());
        target.remove_prefix(fixed.size());
        if (colon == std::string_view::npos) {
            break;
        }
        const std::string_view name = mask.substr(1, mask.find('/') - 1);
        const std::string_view value = target.substr(0, target.find('/'));
        if (value.empty()) {
            return false;
        }
        match.segments.emplace_back(name, value);
        mask.remove_prefix(1 + name.size());
        target.remove_prefix(value.size());
    }
    match.rest = target;
    return ends_mask(target);
}

bool matches(const Route& route, std::string_view target, Match& match) {
    const std::string_view mask = route.mask;
    match.segments.clear();
    if (mask.find("/:") != std::string_view::npos) {
        if (!match_named(mask, target, match)) {
            return false;
        }
    } else {
        if (target.substr(0, mask.size()) != mask || !ends_mask(target.substr(mask.size()))) {
            return false;
        }
        match.rest = target.substr(mask.size());
    }
    return !route.argc || count_of(match.rest) == *route.argc;
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Whether a segment is "." or "..", also with its dots quoted: unquoted later it would be one.
bool is_dots(std::string_view segment, std::string_view dots) {
    if (segment.empty() || (segment[0] != '.' && segment[0] != '%')) {
        return false;
    }
    std::string scratch;
    return unquote(segment, scratch) == dots;
}

void take_query(std::string_view query, std::vector<Rest::Pair>& pairs) {
    while (!query.empty()) {
        const std::string_view section = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), section.size() + 1));
        if (section.empty()) {
            continue;
        }
        const size_t equals = section.find('=');
        if (equals == std::string_view::npos) {
            pairs.push_back({section, std::nullopt});
        } else {
            pairs.push_back({section.substr(0, equals), section.substr(equals + 1)});
        }
    }
}

}  // namespace

Rest take_apart(std::string_view rest) {
    Rest result;
    if (const size_t hash = rest.find('#'); hash != std::string_view::npos) {
        result.fragment = rest.substr(hash + 1);
        rest = rest.substr(0, hash);
    }
    if (const size_t mark = rest.find('?'); mark != std::string_view::npos) {
        take_query(rest.substr(mark + 1), result.query);
        rest = rest.substr(0, mark);
    }
    while (!rest.empty()) {
        const std::string_view segment = rest.substr(0, rest.find('/'));
        rest.remove_prefix(std::min(rest.size(), segment.size() + 1));
        if (is_dots(segment, "..")) {
            if (!result.paths.empty()) {
                result.paths.pop_back();
            }
        } else if (!segment.empty() && !is_dots(segment, ".")) {
            result.paths.push_back(segment);
        }
    }
    return result;
}

std::string_view unquote(std::string_view text, std::string& scratch) {
    if (text.find('%') == std::string_view::npos) {
        return text;
    }
    scratch.clear();
    for (size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? digit_of(text[i + 1]) : -1;
        const int low = high >= 0 ? digit_of(text[i + 2]) : -1;
        if (low >= 0) {
            scratch += static_cast<char>(high << 4 | low);
            i += 2;
        } else {
            scratch += text[i];
        }
    }
    return scratch;
}

void Routes::add(std::shared_ptr<const Route> route) {
    const auto shorter = [](const auto& a, const auto& b) { return a->mask.size() > b->mask.size(); };
    const auto place = std::lower_bound(routes_.begin(), routes_.end(), route, shorter);
    routes_.insert(place, std::move(route));
}

std::optional<Match> Routes::find(std::string_view method, std::string_view target) const {
    const std::string_view wanted = method == "HEAD" ? "GET" : method;
    Match match;
    for (const auto& route : routes_) {
        if (route->method == wanted && matches(*route, target, match)) {
            match.route = route;
            return match;
        }
    }
    return std::nullopt;
}

std::string Routes::methods(std::string_view target) const {
    std::string list;
    for (const std::string_view method : {"GET", "POST", "PUT", "DELETE"}) {
        if (find(method, target)) {
            list += list.empty() ? "" : ", ";
            list += method == "GET" ? "GET, HEAD" : method;
        }
    }
    return list;
}

}  // namespace quicken::http
