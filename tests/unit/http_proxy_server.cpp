// A server that forwards and nothing else: what http_proxy_test.py asks.
//
// Usage: http_proxy_server [--set NAME=SECONDS]... NAME=URL...
// Rules are bound in that order. "%" in a URL stands for this server's own
// port. Prints its port; ends when its input does.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cstdio>
#include <map>
#include <thread>

#include "common/error.hpp"
#include "http/files.hpp"
#include "http/proxy.hpp"
#include "http/server.hpp"

namespace {

using namespace quicken;
using namespace quicken::http;

class Forwarder : public Application {
 public:
    void handle(std::shared_ptr<Exchange> exchange) override {
        const auto path = normal_path(exchange->request().target);
        if (!path) return exchange->respond(error_page(400));
        if (!proxy->forward(exchange, *path)) exchange->respond(error_page(404));
    }

    void answered(const Request& request, unsigned status, std::uint64_t size, double) override {
        fmt::print(stderr, "{} {} {}\n", request.line(), status, size);
    }

    Proxy* proxy = nullptr;
};

Fd listen_anywhere(std::uint16_t& port) {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener.get(), raw, size) != 0 || ::listen(listener.get(), SOMAXCONN) != 0 ||
        ::getsockname(listener.get(), raw, &size) != 0) {
        throw_errno("listen on", "127.0.0.1");
    }
    port = ntohs(address.sin_port);
    return listener;
}

void change(Settings& settings, const std::string& text) {
    const std::map<std::string, double*> times{{"connect_timeout", &settings.connect_timeout},
                                               {"proxy_timeout", &settings.proxy_timeout},
                                               {"body_timeout", &settings.body_timeout},
                                               {"write_timeout", &settings.write_timeout}};
    const std::size_t end = text.find('=');
    *times.at(text.substr(0, end)) = std::stod(text.substr(end + 1));
}

int serve(const std::vector<std::string>& arguments) {
    std::uint16_t port = 0;
    Fd listener = listen_anywhere(port);
    Settings settings;
    std::vector<Proxy::Rule> rules;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--set") {
            change(settings, arguments.at(++i));
            continue;
        }
        const std::size_t end = arguments[i].find('=');
        std::string url = arguments[i].substr(end + 1);
        if (const auto own = url.find('%'); own != std::string::npos)
            url.replace(own, 1, std::to_string(port));
        rules.push_back({arguments[i].substr(0, end), url});
    }
    Forwarder forwarder;
    Server server(forwarder, settings);
    Proxy proxy(server, settings);
    proxy.set(rules);
    forwarder.proxy = &proxy;
    server.listen(std::move(listener), nullptr);
    fmt::print("{}\n", port);
    std::fflush(stdout);
    std::thread end_of_input([&server] {
        while (std::getchar() != EOF) {
        }
        server.stop();
    });
    server.run();
    end_of_input.join();
    return 0;
}

}  // namespace

int main(int argc, char** argv) try {
    return serve({argv + 1, argv + argc});
} catch (const std::exception& error) {
    fmt::print(stderr, "http_proxy_server: {}\n", error.what());
    return 1;
}
