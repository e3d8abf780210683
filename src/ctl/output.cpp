#include "ctl/output.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "ctl/selection.hpp"

namespace quicken::ctl {

nlohmann::ordered_json to_json(const Properties& p) {
    return {{"status", "up"},
            {"version", p.version},
            {"instance", p.instance},
            {"what", p.what},
            {"name", p.name},
            {"directory", p.directory},
            {"interpreter", p.interpreter},
            {"interpreter_options", p.interpreter_options},
            {"interpreter_version", p.interpreter_version},
            {"pid", p.pid},
            {"state", p.state},
            {"reason", p.reason},
            {"stale", p.stale},
            {"rung", p.rung},
            {"since", static_cast<double>(p.since) / 1e6},
            {"commands_run", p.commands_run},
            {"commands_running", p.commands_running},
            {"commands", p.commands},
            {"idle_timeout", p.idle_timeout},
            {"memory", p.memory},
            {"activation", p.activation}};
}

void print(const nlohmann::ordered_json& value) {
    fmt::print("{}\n", value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void row(std::string_view label, std::string_view value) {
    if (!value.empty()) {
        fmt::print("{:<13} {}\n", label, value);
    }
}

std::string join(const std::string& text, const std::string& more) {
    return more.empty() ? text : text + " (" + more + ")";
}

std::string moment(std::uint64_t microseconds) {
    const auto seconds = static_cast<std::time_t>(microseconds / 1'000'000);
    std::tm local{};
    if (::localtime_r(&seconds, &local) == nullptr) {
        return {};
    }
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

std::string megabytes(std::uint64_t bytes) {
    return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

std::string subject_of(const Properties& p) {
    return describe({p.what, p.name, p.directory, p.interpreter});
}

}  // namespace quicken::ctl
