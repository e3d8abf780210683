#include "control_object.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "common/error.hpp"
#include "common/version.hpp"
#include "explain.hpp"
#include "log.hpp"
#include "memory.hpp"

namespace quicken::server {

namespace {

const ControlObject& control(void* data) {
    return *static_cast<ControlObject*>(data);
}

std::string text_of(std::string_view text) {
    return std::string(text);
}

/// Values of the properties of type s, by name.
std::string text_property(const ControlObject& object, std::string_view name) {
    const Supervisor& supervisor = object.supervisor();
    const Program* program = supervisor.program();
    if (name == "Version") return k_version;
    if (name == "Instance") return supervisor.place().instance;
    if (name == "State") return supervisor.state_name();
    if (name == "Reason") return supervisor.reason();
    if (name == "Stale") return supervisor.stale_reason();
    if (name == "Rung") return supervisor.rung_name();
    if (name == "Activation") return object.activation();
    if (name == "InterpreterVersion") return supervisor.interpreter_version();
    if (program == nullptr) return {};
    if (name == "What") return program->what();
    if (name == "Name") return text_of(program->name());
    if (name == "Directory") return text_of(program->directory_name());
    return text_of(program->interpreter());
}

/// D-Bus text is UTF-8; a path need not be.
std::string valid_utf8(std::string text) {
    for (char& c : text) {
        if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    }
    return text;
}

int get_text(sd_bus*, const char*, const char*, const char* property, sd_bus_message* reply, void* data,
             sd_bus_error*) {
    const std::string text = text_property(control(data), property);
    const int result = sd_bus_message_append(reply, "s", text.c_str());
    return result == -EINVAL ? sd_bus_message_append(reply, "s", valid_utf8(text).c_str()) : result;
}

int get_options(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* data,
                sd_bus_error*) {
    std::vector<const char*> options;
    if (const Program* program = control(data).supervisor().program()) options = program->options();
    options.push_back(nullptr);
    return sd_bus_message_append_strv(reply, const_cast<char**>(options.data()));
}

int get_commands(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* data,
                 sd_bus_error*) {
    std::vector<std::uint32_t> pids;
    for (const pid_t pid : control(data).supervisor().variants().commands()) {
        pids.push_back(static_cast<std::uint32_t>(pid));
    }
    return sd_bus_message_append_array(reply, 'u', pids.data(), pids.size() * sizeof pids[0]);
}

int get_number(sd_bus*, const char*, const char*, const char* property, sd_bus_message* reply, void* data,
               sd_bus_error*) {
    const ControlObject& object = control(data);
    const Supervisor& supervisor = object.supervisor();
    const std::string_view name = property;
    if (name == "Pid") return sd_bus_message_append(reply, "u", static_cast<std::uint32_t>(getpid()));
    if (name == "Since") return sd_bus_message_append(reply, "t", object.since());
    if (name == "CommandsRun") return sd_bus_message_append(reply, "t", supervisor.variants().commands_run());
    if (name == "Memory") return sd_bus_message_append(reply, "t", proportional_memory(supervisor));
    if (name == "IdleTimeout") return sd_bus_message_append(reply, "d", supervisor.idle_timeout());
    return sd_bus_message_append(reply, "u",
                                 static_cast<std::uint32_t>(supervisor.variants().commands().size()));
}

int call_stop(sd_bus_message* message, void* data, sd_bus_error*) {
    int now = 0;
    if (const int result = sd_bus_message_read(message, "b", &now); result < 0) return result;
    auto& object = *static_cast<ControlObject*>(data);
    object.later([&object, now] { object.supervisor().stop(now != 0); });
    return sd_bus_reply_method_return(message, nullptr);
}

/// Before the answer: who runs the program after it gets the new template.
int call_restart(sd_bus_message* message, void* data, sd_bus_error*) {
    static_cast<ControlObject*>(data)->supervisor().restart();
    return sd_bus_reply_method_return(message, nullptr);
}

int call_explain(sd_bus_message* message, void* data, sd_bus_error*) {
    return sd_bus_reply_method_return(message, "s", explain(control(data).supervisor()).c_str());
}

using bus::Guarded;

// clang-format off
const sd_bus_vtable k_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Version", "s", Guarded<get_text>::call, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Instance", "s", Guarded<get_text>::call, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("What", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Name", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Directory", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Interpreter", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("InterpreterOptions", "as", Guarded<get_options>::call, 0, 0),
    SD_BUS_PROPERTY("InterpreterVersion", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Pid", "u", Guarded<get_number>::call, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Reason", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Stale", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Rung", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Since", "t", Guarded<get_number>::call, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("CommandsRun", "t", Guarded<get_number>::call, 0, 0),
    SD_BUS_PROPERTY("CommandsRunning", "u", Guarded<get_number>::call, 0, 0),
    SD_BUS_PROPERTY("Commands", "au", Guarded<get_commands>::call, 0, 0),
    SD_BUS_PROPERTY("IdleTimeout", "d", Guarded<get_number>::call, 0, 0),
    SD_BUS_PROPERTY("Memory", "t", Guarded<get_number>::call, 0, 0),
    SD_BUS_PROPERTY("Activation", "s", Guarded<get_text>::call, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_METHOD("Stop", "b", "", Guarded<call_stop>::call, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Restart", "", "", Guarded<call_restart>::call, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Explain", "", "s", Guarded<call_explain>::call, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};
// clang-format on

std::uint64_t realtime() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(
        duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
}

}  // namespace

ControlObject::ControlObject(Loop& loop, Supervisor& supervisor, const char* activation)
    : loop_(loop),
      supervisor_(supervisor),
      activation_(activation),
      since_(realtime()),
      path_(supervisor.place().directory + "/" + supervisor.place().instance + ".ctl"),
      object_(loop, {bus::k_object, bus::k_interface, k_vtable, this}) {
    object_.before_message = [this] { supervisor_.catch_up(); };
    // What is found at the path is a dead server's: the living one holds the instance's only listening
    // socket.
    object_.listen(path_);
    bound_ = file_id(path_);
}

ControlObject::~ControlObject() {
    withdraw();
}

void ControlObject::withdraw() {
    if (bound_ && bound_ == file_id(path_)) unlink(path_.c_str());
    bound_.reset();
}

void ControlObject::publish() {
    object_.publish(bus::k_name_prefix + supervisor_.place().instance, SD_EVENT_PRIORITY_IDLE);
}

void ControlObject::later(std::function<void()> action) {
    later_ = loop_.after(0, std::move(action));
}

}  // namespace quicken::server
