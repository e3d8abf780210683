// The dates of HTTP (RFC 9110, section 5.6.7), whatever the process's locale.
#include <locale.h>
#include <time.h>

#include <array>
#include <string>

#include "http/representation.hpp"

namespace quicken::http {

namespace {

/// The "C" locale's names of days and months; made once, never freed.
locale_t plain_locale() {
    static const locale_t locale = newlocale(LC_ALL_MASK, "C", locale_t{});
    return locale;
}

// The form that is sent, and the two old ones that a recipient has to take.
constexpr std::array<const char*, 3> k_forms = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                                "%a %b %d %H:%M:%S %Y"};

}  // namespace

std::string http_date(std::int64_t seconds) {
    const time_t moment = seconds;
    struct tm parts {};
    if (gmtime_r(&moment, &parts) == nullptr) return http_date(0);  // a year that no int holds
    char text[64];
    return {text, strftime_l(text, sizeof text, k_forms[0], &parts, plain_locale())};
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
    if (text.empty() || text.size() > 40) return std::nullopt;
    const std::string terminated(text);
    for (const char* form : k_forms) {
        struct tm parts {};
        const char* end = strptime_l(terminated.c_str(), form, &parts, plain_locale());
        if (end != nullptr && *end == '\0') return timegm(&parts);
    }
    return std::nullopt;
}

}  // namespace quicken::http
