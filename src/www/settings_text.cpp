#include "www/settings_text.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <variant>

#include "common/error.hpp"

namespace quicken::www {

namespace {

using http::Settings;
using Member = std::variant<std::uint64_t Settings::*, double Settings::*>;

const std::map<std::string_view, Member> k_members = {
    {"max_target", &Settings::max_target},           {"max_header", &Settings::max_header},
    {"max_fields", &Settings::max_fields},           {"max_body", &Settings::max_body},
    {"max_chunk_line", &Settings::max_chunk_line},   {"spool_size", &Settings::spool_size},
    {"max_connections", &Settings::max_connections}, {"max_pending", &Settings::max_pending},
    {"require_length", &Settings::require_length},   {"handshake_timeout", &Settings::handshake_timeout},
    {"header_timeout", &Settings::header_timeout},   {"body_timeout", &Settings::body_timeout},
    {"body_min_rate", &Settings::body_min_rate},     {"idle_timeout", &Settings::idle_timeout},
    {"write_timeout", &Settings::write_timeout},     {"connect_timeout", &Settings::connect_timeout},
    {"proxy_timeout", &Settings::proxy_timeout},     {"drain_timeout", &Settings::drain_timeout}};

void set(Settings& settings, const std::string& name, const nlohmann::json& value) {
    const auto found = k_members.find(name);
    if (found == k_members.end()) throw Error("there is no setting " + name);
    if (!value.is_number() || value.get<double>() < 0) throw Error("setting " + name + " is no such number");
    if (const auto* size = std::get_if<std::uint64_t Settings::*>(&found->second)) {
        settings.** size = value.get<std::uint64_t>();
    } else {
        settings.*std::get<double Settings::*>(found->second) = value.get<double>();
    }
}

}  // namespace

void apply(const std::string& text, http::Settings& settings) {
    const nlohmann::json values = nlohmann::json::parse(text, nullptr, false);
    if (!values.is_object()) throw Error("the settings are no JSON object");
    for (const auto& [name, value] : values.items()) set(settings, name, value);
}

}  // namespace quicken::www
