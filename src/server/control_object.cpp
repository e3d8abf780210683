#include "control_object.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>

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

void check(int result, const char* attempt) {
    if (result < 0) throw Error(attempt, "a D-Bus connection", -result);
}

bool is_ours(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

}  // namespace

ControlObject::ControlObject(Loop& loop, Supervisor& supervisor, const char* activation)
    : loop_(loop),
      supervisor_(supervisor),
      activation_(activation),
      since_(realtime()),
      path_(supervisor.place().directory + "/" + supervisor.place().instance + ".ctl") {
    listen();
}

ControlObject::~ControlObject() {
    withdraw();
}

void ControlObject::withdraw() {
    if (bound_ && bound_ == file_id(path_)) unlink(path_.c_str());
    bound_.reset();
}

/// What is found at the path is a dead server's: the living one holds the instance's only listening socket.
void ControlObject::listen() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) throw Error("bind", path_, ENAMETOOLONG);
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener_) throw_errno("make", "a socket");
    unlink(path_.c_str());
    const mode_t before = umask(0177);
    const int bound = bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    umask(before);
    if (bound != 0 || ::listen(listener_.get(), SOMAXCONN) != 0) throw_errno("bind", path_);
    bound_ = file_id(path_);
    acceptable_ = loop_.on_io(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_peer(); });
}

void ControlObject::add_object(Peer& peer) {
    sd_bus_slot* slot = nullptr;
    check(sd_bus_add_object_vtable(peer.bus.get(), &slot, bus::k_object, bus::k_interface, k_vtable, this),
          "add the object to");
    peer.object.reset(slot);
}

void ControlObject::accept_peer() {
    Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket || !is_ours(socket.get())) return;
    Peer peer;
    sd_bus* raw = nullptr;
    check(sd_bus_new(&raw), "make");
    peer.bus.reset(raw);
    sd_id128_t id{};
    check(sd_id128_randomize(&id), "name");
    check(sd_bus_set_fd(raw, socket.get(), socket.get()), "attach");
    [[maybe_unused]] const int owned = socket.release();  // by sd-bus
    check(sd_bus_set_server(raw, 1, id), "serve");
    check(sd_bus_start(raw), "start");
    serve(std::move(peer), SD_EVENT_PRIORITY_NORMAL);
}

/// Keeps the connection until its other end goes.
void ControlObject::serve(Peer peer, std::int64_t priority) {
    sd_bus* raw = peer.bus.get();
    check(sd_bus_attach_event(raw, loop_.get(), static_cast<int>(priority)), "attach");
    add_object(peer);
    sd_bus_slot* slot = nullptr;
    check(sd_bus_match_signal(raw, &slot, nullptr, "/org/freedesktop/DBus/Local",
                              "org.freedesktop.DBus.Local", "Disconnected", peer_gone, this),
          "watch");
    peer.disconnected.reset(slot);
    check(sd_bus_add_filter(raw, &slot, Guarded<before_message>::call, this), "filter");
    peer.filter.reset(slot);
    peers_.push_back(std::move(peer));
}

int ControlObject::before_message(sd_bus_message*, void* data, sd_bus_error*) {
    control(data).supervisor().catch_up();
    return 0;
}

int ControlObject::peer_gone(sd_bus_message* message, void* data, sd_bus_error*) {
    auto& peers = static_cast<ControlObject*>(data)->peers_;
    sd_bus* gone = sd_bus_message_get_bus(message);
    // sd-bus holds a reference to the bus while it dispatches.
    peers.remove_if([gone](const Peer& peer) { return peer.bus.get() == gone; });
    return 0;
}

void ControlObject::publish() {
    if (published_) return;
    published_ = true;
    Peer peer;
    sd_bus* raw = nullptr;
    if (sd_bus_open_user(&raw) < 0) return;  // no user's bus here: the socket remains
    peer.bus.reset(raw);
    const std::string name = bus::k_name_prefix + supervisor_.place().instance;
    check(sd_bus_request_name_async(raw, nullptr, name.c_str(), 0, nullptr, nullptr), "name");
    serve(std::move(peer), SD_EVENT_PRIORITY_IDLE);
}

void ControlObject::later(std::function<void()> action) {
    later_ = loop_.after(0, std::move(action));
}

}  // namespace quicken::server
