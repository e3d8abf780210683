#include "www/control.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "serve/protocol.hpp"
#include "www/log.hpp"

namespace quicken::www {

namespace {

using nlohmann::json;

sigset_t ending_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

/// A supervisor who is gone is noticed by the next read.
void send(const Fd& supervisor, const json& message) {
    const std::string text = message.dump();
    ::send(supervisor.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

struct Packet {
    std::string text;  // empty: the other end is gone
    Fd passed;
};

Packet receive(const Fd& supervisor) {
    std::string buffer(serve::k_packet, '\0');
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size = -1;
    do {
        size = recvmsg(supervisor.get(), &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    Packet packet;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (size > 0 && header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
        packet.passed.reset(fd);
    }
    buffer.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    packet.text = std::move(buffer);
    return packet;
}

/// What it is to do; "" for what is not understood, which is ignored.
std::string wish_of(const json& message) {
    if (!message.is_object()) return {};
    const auto wish = message.find("do");
    return wish != message.end() && wish->is_string() ? wish->get<std::string>() : std::string();
}

}  // namespace

void block_signals() {
    const sigset_t set = ending_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

Control::Control(http::Server& server, const http::Settings& settings, Fd supervisor)
    : server_(server), settings_(settings), supervisor_(std::move(supervisor)) {
    const sigset_t set = ending_signals();
    signals_.reset(signalfd(-1, &set, SFD_CLOEXEC));
    wake_.reset(eventfd(0, EFD_CLOEXEC));
    if (!signals_ || !wake_) throw_errno("make", "a descriptor for signals");
}

Control::~Control() {
    if (!thread_.joinable()) return;
    eventfd_write(wake_.get(), 1);
    thread_.join();
}

Fd Control::ask_to_listen(const std::string& address, std::uint16_t port) {
    send(supervisor_, {{"do", "listen"}, {"address", address}, {"port", port}});
    for (;;) {
        Packet packet = receive(supervisor_);
        if (packet.text.empty()) throw Error("the supervisor is gone");
        const json answer = json::parse(packet.text, nullptr, false);
        if (wish_of(answer) != "listening") continue;
        if (packet.passed) return std::move(packet.passed);
        throw Error("listen at", address + ":" + std::to_string(port), answer.value("errno", EIO));
    }
}

void Control::start(const std::string& directory) {
    if (supervisor_) {
        send(supervisor_, {{"do", "serving"},
                           {"prompts", false},
                           {"script", directory},
                           {"drain_timeout", settings_.drain_timeout}});
    }
    thread_ = std::thread([this] { work(); });
}

void Control::work() {
    for (;;) {
        pollfd polls[] = {
            {wake_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {supervisor_.get(), POLLIN, 0}};
        if (poll(polls, 3, -1) < 0) continue;  // EINTR: nothing else is possible here
        if (polls[0].revents != 0) return;
        if (polls[1].revents != 0) take_signal();
        if (polls[2].revents != 0 && !take_message()) {
            supervisor_.reset();  // poll(2) ignores an fd of -1
            end_soon();
        }
    }
}

void Control::take_signal() {
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof info) != sizeof info) return;
    if (draining_) return server_.stop();
    say("ends when what is being answered is sent; once more: at once");
    end_soon();
}

bool Control::take_message() {
    Packet packet = receive(supervisor_);
    if (packet.text.empty()) return false;
    obey(packet.text, std::move(packet.passed));
    return true;
}

void Control::obey(const std::string& text, Fd passed) {
    const std::string wish = wish_of(json::parse(text, nullptr, false));
    if (wish == "drain") {
        draining_ = has_successor_ = true;
        server_.drain(std::move(passed));
    } else if (wish == "adopt" && passed) {
        server_.adopt(std::move(passed));
    } else if (wish == "stop") {
        if (has_successor_) server_.stop();
        end_soon();
    } else if (wish == "idle") {
        answer_idle();
    } else if (wish == "activity?") {
        const http::Server::Activity activity = server_.activity();
        send(supervisor_, {{"do", "activity"},
                           {"answering", activity.answering},
                           {"connections", activity.connections},
                           {"seconds_idle", activity.seconds_idle},
                           {"requests", activity.requests},
                           {"workers", 0}});
    }
}

// A connection that comes after the look is answered: draining sees to that. One that comes later still waits
// at the supervisor's socket.
void Control::answer_idle() {
    if (server_.activity().connections > 0) return send(supervisor_, {{"do", "busy"}});
    end_soon();
}

void Control::end_soon() {
    if (draining_) return;
    draining_ = true;
    server_.drain(Fd());
}

}  // namespace quicken::www
