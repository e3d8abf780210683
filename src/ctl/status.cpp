#include "ctl/status.hpp"

#include <fmt/format.h>

#include "ctl/commands.hpp"
#include "ctl/output.hpp"

namespace quicken::ctl {
namespace {

std::string commands_text(const Properties& p) {
    const std::string text = fmt::format("{} run, {} running", p.commands_run, p.commands_running);
    return p.commands.empty() ? text : fmt::format("{} (pid {})", text, fmt::join(p.commands, ", "));
}

void print_up(const Properties& p, const Selection& selection) {
    row("serves", p.name.empty() ? dropin::printable(selection.text) : subject_of(p));
    row("interpreter", join(dropin::printable(p.interpreter), p.interpreter_version));
    row("options", fmt::format("{}", fmt::join(p.interpreter_options, " ")));
    row("pid", fmt::format("{}", p.pid));
    const bool lower = p.rung == "interpreter";  // the reason is then why
    row("state", join(p.state, lower ? "" : dropin::printable(p.reason)));
    row("fork point",
        p.rung.empty() ? "" : join("after the " + p.rung, lower ? dropin::printable(p.reason) : ""));
    row("last change", dropin::printable(p.stale));
    row("since", moment(p.since));
    row("commands", commands_text(p));
    row("idle timeout", fmt::format("{:g} s", p.idle_timeout));
    row("memory", megabytes(p.memory));
    row("instance", p.instance);
    row("activation", join(p.activation, p.activation == "systemd" ? dropin::service_unit(p.instance) : ""));
}

}  // namespace

std::optional<Server> server_of(const Place& place, const Selection& selection) {
    if (!selection.plain.empty() || place.directory.fd() < 0) {
        return std::nullopt;
    }
    return Server::connect(place.directory.control(selection.id));
}

void print_down(const Place& place, const Selection& selection) {
    row("serves", dropin::printable(selection.text));
    if (!selection.plain.empty()) {
        row("state", "down: always run plainly, as " + selection.plain);
        return;
    }
    const bool waits = place.directory.fd() >= 0 && is_listening(place.directory.socket(selection.id));
    row("state", waits ? "down: the next run starts it through its socket" : "down");
    row("instance", selection.id);
}

int status(Place& place, const Selection& selection, bool json) {
    auto server = server_of(place, selection);
    const auto properties = server ? server->properties() : std::nullopt;
    if (!properties) {
        json ? print({{"status", "down"}}) : print_down(place, selection);
        return 0;
    }
    json ? print(to_json(*properties)) : print_up(*properties, selection);
    return 0;
}

int is_active(const Place& place, const Selection& selection) {
    const bool active = server_of(place, selection).has_value();
    fmt::print("{}\n", active ? "active" : "inactive");
    return active ? 0 : 3;
}

int restart(const Place& place, const Selection& selection) {
    auto server = server_of(place, selection);
    if (!server) {
        fmt::print("{} is not running; the next run starts it\n", dropin::printable(selection.text));
        return 0;
    }
    server->restart();
    return 0;
}

}  // namespace quicken::ctl
