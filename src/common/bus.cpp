#include "common/bus.hpp"

#include <cerrno>

namespace quicken::bus {
namespace {

/// As the D-Bus specification, "Server Addresses", wants values escaped.
std::string escape_address(std::string_view path) {
    constexpr std::string_view k_plain =
        "-_/.\\*0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    constexpr char k_digits[] = "0123456789abcdef";
    std::string text;
    for (const char c : path) {
        if (k_plain.find(c) != std::string_view::npos) {
            text += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        text += '%';
        text += k_digits[byte >> 4U];
        text += k_digits[byte & 15U];
    }
    return text;
}

void check(int result, std::string_view attempt, std::string_view object) {
    if (result < 0) {
        throw Error(attempt, object, -result);
    }
}

Bus connect(const std::string& path, bool bus_client, Deadline deadline) {
    sd_bus* raw = nullptr;
    check(sd_bus_new(&raw), "create a D-Bus connection to", path);
    Bus bus(raw);
    check(sd_bus_set_address(raw, ("unix:path=" + escape_address(path)).c_str()), "connect", path);
    check(sd_bus_set_bus_client(raw, bus_client ? 1 : 0), "connect", path);
    check(sd_bus_start(raw), "connect", path);
    while (sd_bus_is_ready(raw) <= 0) {
        process(*raw, deadline, path);
    }
    const auto timeout = std::chrono::microseconds(k_call_timeout).count();
    check(sd_bus_set_method_call_timeout(raw, static_cast<std::uint64_t>(timeout)), "connect", path);
    return bus;
}

std::string call_error_text(std::string_view attempt, const sd_bus_error& error, int result) {
    const bool has_text = error.message != nullptr && *error.message != '\0';
    return std::string(attempt) + ": " + (has_text ? std::string(error.message) : errno_text(-result));
}

}  // namespace

CallError::CallError(std::string_view attempt, const sd_bus_error& error, int result)
    : Error(call_error_text(attempt, error, result)), name_(error.name != nullptr ? error.name : "") {}

Bus connect_peer(const std::string& path, Deadline deadline) {
    return connect(path, false, deadline);
}

Bus connect_bus(const std::string& path, Deadline deadline) {
    return connect(path, true, deadline);
}

void process(sd_bus& bus, Deadline deadline, std::string_view what) {
    const int handled = sd_bus_process(&bus, nullptr);
    check(handled, "D-Bus connection to", what);
    if (handled > 0) {
        return;
    }
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
        throw Error("wait for", what, ETIMEDOUT);
    }
    const int woken = sd_bus_wait(&bus, static_cast<std::uint64_t>(left));
    if (woken != -EINTR) {
        check(woken, "wait for", what);
    }
}

}  // namespace quicken::bus
