#include "ctl/server.hpp"

#include <cerrno>
#include <string_view>

#include "common/error.hpp"

namespace quicken::ctl {
namespace {

void check(int result) {
    if (result < 0) {
        throw Error("understand", "the server's answer", -result);
    }
}

/// The value of the variant that comes next, which has to be of type `type`.
template <typename Value>
Value read_basic(sd_bus_message& message, char type) {
    Value value{};
    const char signature[] = {type, '\0'};
    check(sd_bus_message_read(&message, "v", signature, &value));
    return value;
}

std::string read_string(sd_bus_message& message) {
    const auto* text = read_basic<const char*>(message, 's');
    return text != nullptr ? text : "";
}

std::vector<std::string> read_strings(sd_bus_message& message) {
    std::vector<std::string> strings;
    const char* text = nullptr;
    int more = 0;
    check(sd_bus_message_enter_container(&message, 'v', "as"));
    check(sd_bus_message_enter_container(&message, 'a', "s"));
    while ((more = sd_bus_message_read(&message, "s", &text)) > 0) {
        strings.emplace_back(text);
    }
    check(more);
    check(sd_bus_message_exit_container(&message));
    check(sd_bus_message_exit_container(&message));
    return strings;
}

std::vector<std::uint32_t> read_numbers(sd_bus_message& message) {
    const void* values = nullptr;
    std::size_t size = 0;
    check(sd_bus_message_enter_container(&message, 'v', "au"));
    check(sd_bus_message_read_array(&message, 'u', &values, &size));
    check(sd_bus_message_exit_container(&message));
    const auto* first = static_cast<const std::uint32_t*>(values);
    return {first, first + size / sizeof(std::uint32_t)};
}

void read_property(sd_bus_message& message, std::string_view name, Properties& p) {
    const std::pair<std::string_view, std::string&> texts[] = {
        {"Version", p.version},
        {"Instance", p.instance},
        {"What", p.what},
        {"Name", p.name},
        {"Directory", p.directory},
        {"Interpreter", p.interpreter},
        {"InterpreterVersion", p.interpreter_version},
        {"State", p.state},
        {"Reason", p.reason},
        {"Stale", p.stale},
        {"Rung", p.rung},
        {"Activation", p.activation},
    };
    for (const auto& [key, value] : texts) {
        if (key == name) {
            value = read_string(message);
            return;
        }
    }
    if (name == "InterpreterOptions") {
        p.interpreter_options = read_strings(message);
    } else if (name == "Commands") {
        p.commands = read_numbers(message);
    } else if (name == "Pid") {
        p.pid = read_basic<std::uint32_t>(message, 'u');
    } else if (name == "CommandsRunning") {
        p.commands_running = read_basic<std::uint32_t>(message, 'u');
    } else if (name == "Since") {
        p.since = read_basic<std::uint64_t>(message, 't');
    } else if (name == "CommandsRun") {
        p.commands_run = read_basic<std::uint64_t>(message, 't');
    } else if (name == "Memory") {
        p.memory = read_basic<std::uint64_t>(message, 't');
    } else if (name == "IdleTimeout") {
        p.idle_timeout = read_basic<double>(message, 'd');
    } else {
        check(sd_bus_message_skip(&message, "v"));  // of a later version
    }
}

bool means_ended(int error) {
    return error == ECONNRESET || error == EPIPE || error == ENOTCONN;
}

bool means_gone(int error) {
    return error == ENOENT || error == ECONNREFUSED || means_ended(error);
}

/// The server has ended instead of an answer.
class Ended : public bus::CallError {
 public:
    using CallError::CallError;
};

}  // namespace

std::optional<Server> Server::connect(const std::string& control_path) {
    try {
        return Server(control_path, bus::connect_peer(control_path, bus::Clock::now() + bus::k_call_timeout));
    } catch (const Error& error) {
        if (means_gone(error.code())) {
            return std::nullopt;
        }
        throw;
    }
}

template <typename... Values>
bus::Message Server::call(const char* interface, const char* method, const char* types, Values... values) {
    bus::ErrorReply error;
    sd_bus_message* raw = nullptr;
    const int result = sd_bus_call_method(bus_.get(), nullptr, bus::k_object, interface, method, error.get(),
                                          &raw, types, values...);
    bus::Message reply(raw);
    if (result < 0) {
        const std::string attempt = std::string(method) + " at " + path_;
        if (means_ended(-result)) throw Ended(attempt, *error.get(), result);
        throw bus::CallError(attempt, *error.get(), result);
    }
    return reply;
}

std::optional<Properties> Server::properties() {
    bus::Message reply;
    try {
        reply = call("org.freedesktop.DBus.Properties", "GetAll", "s", bus::k_interface);
    } catch (const Ended&) {
        return std::nullopt;
    }
    sd_bus_message& message = *reply;
    Properties properties;
    int more = 0;
    check(sd_bus_message_enter_container(&message, 'a', "{sv}"));
    while ((more = sd_bus_message_enter_container(&message, 'e', "sv")) > 0) {
        const char* name = nullptr;
        check(sd_bus_message_read(&message, "s", &name));
        read_property(message, name, properties);
        check(sd_bus_message_exit_container(&message));
    }
    check(more);
    return properties;
}

std::string Server::explain() {
    const auto reply = call(bus::k_interface, "Explain", "");
    const char* text = nullptr;
    check(sd_bus_message_read(reply.get(), "s", &text));
    return text;
}

void Server::stop(bool now) {
    call(bus::k_interface, "Stop", "b", now ? 1 : 0);
}

void Server::restart() {
    call(bus::k_interface, "Restart", "");
}

}  // namespace quicken::ctl
