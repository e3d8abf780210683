#include "ctl/output.hpp"

#include <fmt/format.h>

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

std::string megabytes(std::uint64_t bytes) {
    return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

std::string subject_of(const Properties& p) {
    return describe({p.what, p.name, p.directory, p.interpreter});
}

}  // namespace quicken::ctl
