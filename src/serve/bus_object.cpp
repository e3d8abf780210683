#include "serve/bus_object.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <climits>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/directory.hpp"
#include "common/error.hpp"
#include "common/serve_bus.hpp"
#include "common/target.hpp"
#include "common/version.hpp"

namespace quicken::serve {

namespace {

using nlohmann::json;

constexpr int k_names = 100;  // supervisors of one script with the same arguments
constexpr std::chrono::seconds k_lock{5};

BusObject& object(void* data) {
    return *static_cast<BusObject*>(data);
}

/// D-Bus text is UTF-8; a path need not be.
std::string utf8(std::string text) {
    try {
        [[maybe_unused]] const std::string checked = json(text).dump();
        return text;
    } catch (const json::type_error&) {
        for (char& c : text) {
            if (static_cast<unsigned char>(c) >= 0x80) c = '?';
        }
        return text;
    }
}

int get_text(sd_bus*, const char*, const char*, const char* property, sd_bus_message* reply, void* data,
             sd_bus_error*) {
    const Supervisor& supervisor = object(data).supervisor();
    const std::string_view name = property;
    std::string text = k_version;
    if (name == "Script") text = utf8(supervisor.script());
    if (name == "State") text = supervisor.state();
    if (name == "LastError") text = utf8(supervisor.last_error());
    return sd_bus_message_append(reply, "s", text.c_str());
}

int get_number(sd_bus*, const char*, const char*, const char* property, sd_bus_message* reply, void* data,
               sd_bus_error*) {
    const Supervisor& supervisor = object(data).supervisor();
    const std::string_view name = property;
    if (name == "Since") return sd_bus_message_append(reply, "t", supervisor.since());
    if (name == "Reloads") return sd_bus_message_append(reply, "t", supervisor.reload_count());
    return sd_bus_message_append(reply, "u", static_cast<std::uint32_t>(supervisor.pid()));
}

int get_addresses(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* data,
                  sd_bus_error*) {
    std::vector<std::string> texts;
    for (const std::string& address : object(data).supervisor().listeners().addresses())
        texts.push_back(utf8(address));
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return sd_bus_message_append_strv(reply, pointers.data());
}

/// Answered when it is known how the reload has gone.
int call_reload(sd_bus_message* message, void* data, sd_bus_error*) {
    const std::shared_ptr<sd_bus_message> kept(sd_bus_message_ref(message), sd_bus_message_unref);
    // After this: a reload that fails at once would answer in the middle of the call.
    object(data).later([&supervisor = object(data).supervisor(), kept] {
        supervisor.reload([kept](const std::string& error) {
            if (error.empty()) {
                sd_bus_reply_method_return(kept.get(), nullptr);
            } else {
                sd_bus_reply_method_errorf(kept.get(), serve_bus::k_reload_failed, "%s", utf8(error).c_str());
            }
        });
    });
    return 1;
}

int call_stop(sd_bus_message* message, void* data, sd_bus_error*) {
    object(data).later([&supervisor = object(data).supervisor()] { supervisor.stop(); });
    return sd_bus_reply_method_return(message, nullptr);
}

int call_status(sd_bus_message* message, void* data, sd_bus_error*) {
    return sd_bus_reply_method_return(message, "s", object(data).status().c_str());
}

using bus::Guarded;

const sd_bus_vtable k_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Version", "s", Guarded<get_text>::call, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Script", "s", Guarded<get_text>::call, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Pid", "u", Guarded<get_number>::call, 0, 0),
    SD_BUS_PROPERTY("State", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_PROPERTY("Addresses", "as", Guarded<get_addresses>::call, 0, 0),
    SD_BUS_PROPERTY("Since", "t", Guarded<get_number>::call, 0, 0),
    SD_BUS_PROPERTY("Reloads", "t", Guarded<get_number>::call, 0, 0),
    SD_BUS_PROPERTY("LastError", "s", Guarded<get_text>::call, 0, 0),
    SD_BUS_METHOD("Reload", "", "", Guarded<call_reload>::call, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Stop", "", "", Guarded<call_stop>::call, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Status", "", "s", Guarded<call_status>::call, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

std::string hash_of(const Supervisor& supervisor, const Options& options, int number) {
    std::string text = supervisor.script();
    for (const std::string& argument : options.arguments) text += '\0' + argument;
    if (!options.www.empty()) text += '\0' + options.address + '\0' + std::to_string(options.port);
    if (number > 0) text += '\0' + std::to_string(number);
    return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace

BusObject::BusObject(Loop& loop, Supervisor& supervisor, const Options& options)
    : loop_(loop),
      supervisor_(supervisor),
      options_(options),
      object_(loop, {serve_bus::k_object, serve_bus::k_interface, k_vtable, this}) {
    listen();
}

BusObject::~BusObject() {
    if (!path_.empty()) unlink(path_.c_str());
}

void BusObject::listen() {
    std::array<char, PATH_MAX> text{};
    if (!socket_directory(environ, text.data(), text.size()))
        throw Error("XDG_RUNTIME_DIR is not an absolute path");
    const Directory directory = Directory::make(text.data());
    const Fd lock = directory.lock(LOCK_EX, bus::Clock::now() + k_lock);
    for (int number = 0; number < k_names; ++number) {
        hash_ = hash_of(supervisor_, options_, number);
        const std::string path = directory.path() + "/" + hash_ + serve_bus::k_suffix;
        if (is_listening(path)) continue;
        object_.listen(path);
        path_ = path;
        return;
    }
    throw Error("there are too many of this script");
}

void BusObject::publish() {
    object_.publish(serve_bus::k_name_prefix + hash_, SD_EVENT_PRIORITY_NORMAL);
}

void BusObject::later(std::function<void()> action) {
    actions_.push_back(std::move(action));
    later_ = loop_.after(0, [this] {
        for (const auto& one : std::exchange(actions_, {})) one();
    });
}

std::string BusObject::status() const {
    std::error_code lost;  // has been removed
    const std::string directory = std::filesystem::current_path(lost).string();
    const json status{{"version", k_version},
                      {"id", hash_},
                      {"script", supervisor_.script()},
                      {"arguments", options_.arguments},
                      {"directory", directory},
                      {"supervisor", getpid()},
                      {"pid", supervisor_.pid()},
                      {"state", supervisor_.state()},
                      {"addresses", supervisor_.listeners().addresses()},
                      {"activated", supervisor_.listeners().activated()},
                      {"since", static_cast<double>(supervisor_.since()) / 1e6},
                      {"reloads", supervisor_.reload_count()},
                      {"last_error", supervisor_.last_error()}};
    return status.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace quicken::serve
