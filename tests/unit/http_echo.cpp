// A program on the engine alone, for tests: answers each request with what it
// has understood of it.
//
//   (any path)     "METHOD TARGET\n", the fields, an empty line, the body
//   /bytes/N       N bytes from memory
//   /file          the file of --file, by sendfile(2)
//   /stream        the request's body as it comes, in parts; with X-Length as its Content-Length
//   /discard       "ok" without looking at the body
//   /slow/MS       "ok" after that time, the loop goes on
//   /block/MS      "ok" after that time, during which another thread has the loop
//   /hold/MS       100,000 bytes after that time, during which nothing else happens
//   /none          lets go without an answer
//   /owner         "ok" by an action that owns something; with --log says on which thread that is freed
//   /status/N      that status with a body of 3 bytes and a wrong Content-Length of its own
//   /fork          how many sockets a child has that has abandoned the server; it lives on for a second
//   /hijack        takes the connection over and sends back what comes
//   /broken        half of an answer in parts
//
// Prints "listening PORT" once it does; and a line for each answer with --log. Ends when stdin does (drained;
// on "stop\n" at once).
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "common/error.hpp"
#include "http/server.hpp"

namespace {

namespace http = quicken::http;
using quicken::Fd;

struct Options {
    int port = 0;
    int listener = -1;
    int adopt = -1;
    int successor = -1;  // drained to when stdin ends
    std::string certificate;
    std::string key;
    std::string file;
    std::vector<std::string> settings;
    bool log = false;
};

std::uint64_t number_after(std::string_view target, std::string_view prefix) {
    std::uint64_t number = 0;
    std::from_chars(target.data() + prefix.size(), target.data() + target.size(), number);
    return number;
}

class Echo final : public http::Application {
 public:
    Echo(const Options& options, const http::Settings& settings)
        : options_(options), settings_(settings), server_(*this, settings) {
        if (!options.file.empty()) {
            file_ = std::make_shared<const Fd>(::open(options.file.c_str(), O_RDONLY | O_CLOEXEC));
        }
    }

    http::Server& server() { return server_; }

    void serve() {
        if (!server_.run()) return;
        const std::lock_guard lock(mutex_);
        done_ = true;
        ended_.notify_all();
    }

    void wait() {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return done_; });
        for (std::thread& thread : threads_) thread.join();
    }

    void handle(std::shared_ptr<http::Exchange> exchange) override {
        const std::string_view target = exchange->request().target;
        if (target.starts_with("/bytes/")) return bytes(*exchange, number_after(target, "/bytes/"));
        if (target == "/file") return file(*exchange);
        if (target == "/stream") return stream(exchange);
        if (target == "/discard") return exchange->respond(text("ok"));
        if (target.starts_with("/slow/")) return slow(exchange, number_after(target, "/slow/"));
        if (target.starts_with("/block/")) return block(exchange, number_after(target, "/block/"));
        if (target.starts_with("/hold/")) return hold(*exchange, number_after(target, "/hold/"));
        if (target.starts_with("/status/")) return status(*exchange, number_after(target, "/status/"));
        if (target == "/fork") return exchange->respond(text(std::to_string(sockets_of_child())));
        if (target == "/none") return;
        if (target == "/owner") return owner(exchange);
        if (target == "/hijack") return hijack(*exchange);
        if (target == "/broken") return broken(*exchange);
        echo(exchange);
    }

    void answered(const http::Request& request, unsigned status, std::uint64_t size, double) override {
        if (!options_.log) return;
        std::printf("%s %u %llu\n", request.line().c_str(), status, static_cast<unsigned long long>(size));
        std::fflush(stdout);
    }

 private:
    static http::Response text(std::string content) {
        http::Response response;
        response.fields = "Content-Type: text/plain\r\n";
        response.pieces.emplace_back(std::move(content));
        return response;
    }

    void bytes(http::Exchange& exchange, std::uint64_t size) {
        std::shared_ptr<const std::string>& content = contents_[size];
        if (!content) content = std::make_shared<const std::string>(size, 'x');
        http::Response response;
        response.fields = "Content-Type: text/plain\r\n";
        response.pieces.emplace_back(content);
        exchange.respond(std::move(response));
    }

    void file(http::Exchange& exchange) {
        struct stat status {};
        ::fstat(file_->get(), &status);
        http::Response response;
        response.pieces.emplace_back(http::FileSlice{file_, 0, static_cast<std::uint64_t>(status.st_size)});
        exchange.respond(std::move(response));
    }

    static void status(http::Exchange& exchange, std::uint64_t code) {
        http::Response response = text("abc");
        response.status = static_cast<unsigned>(code);
        response.reason = "Bad\r\nInjected: x";
        response.add("Content-Length", "7");
        response.add("Transfer-Encoding", "chunked");
        exchange.respond(std::move(response));
    }

    int sockets_of_child() {
        int ends[2];
        if (::pipe(ends) != 0) quicken::throw_errno("make", "a pipe");
        const Fd reader(ends[0]);
        const Fd writer(ends[1]);
        if (::fork() == 0) {
            server_.abandon();
            int sockets = 0;
            for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
                std::error_code error;
                if (std::filesystem::read_symlink(entry, error).string().starts_with("socket:")) ++sockets;
            }
            const ssize_t written = ::write(writer.get(), &sockets, sizeof sockets);
            ::sleep(1);
            ::_exit(written == sizeof sockets ? 0 : 1);
        }
        int sockets = -1;
        if (::read(reader.get(), &sockets, sizeof sockets) != sizeof sockets) sockets = -1;
        return sockets;
    }

    static void pass_on(const std::shared_ptr<http::Exchange>& exchange) {
        exchange->read_some([exchange](std::error_code error, std::string_view part, bool last) {
            if (error) return exchange->end(true);
            exchange->write(std::string(part), [exchange, last](std::error_code failed) {
                if (failed || last) return exchange->end(static_cast<bool>(failed));
                pass_on(exchange);
            });
        });
    }

    static void stream(const std::shared_ptr<http::Exchange>& exchange) {
        http::Response head;
        if (exchange->request().has("X-Length")) {
            head.add("Content-Length", exchange->request().field("X-Length"));
        }
        exchange->begin(std::move(head));
        pass_on(exchange);
    }

    void slow(const std::shared_ptr<http::Exchange>& exchange, std::uint64_t milliseconds) {
        http::Exchange* key = exchange.get();
        exchange->on_gone([this, key] {
            note("gone");
            timers_.erase(key);
        });
        timers_[key] = server_.after(static_cast<double>(milliseconds) / 1000, [this, exchange] {
            exchange->respond(text("ok"));
            timers_.erase(exchange.get());
        });
    }

    void block(std::shared_ptr<http::Exchange>& exchange, std::uint64_t milliseconds) {
        server_.depose();
        {
            const std::lock_guard lock(mutex_);
            threads_.emplace_back([this] { serve(); });
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        server_.post([exchange = std::move(exchange)] { exchange->respond(text("ok")); });
    }

    static void hold(http::Exchange& exchange, std::uint64_t milliseconds) {
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        exchange.respond(text(std::string(100000, 'x')));
    }

    void owner(const std::shared_ptr<http::Exchange>& exchange) {
        const std::shared_ptr<void> owned(
            nullptr, [this](void*) { note(server_.on_loop() ? "freed on the loop" : "freed elsewhere"); });
        server_.post([exchange, owned] { exchange->respond(text("ok")); });
    }

    static void relay(const std::shared_ptr<http::Stream>& stream) {
        stream->read([stream](std::error_code error, std::string_view bytes) {
            if (error || bytes.empty()) return;
            stream->write(std::string(bytes), [stream](std::error_code failed) {
                if (!failed) relay(stream);
            });
        });
    }

    static void hijack(http::Exchange& exchange) {
        std::string buffered;
        const std::shared_ptr<http::Stream> stream = exchange.hijack(buffered);
        if (!stream) return;
        stream->write("hijacked\n" + buffered, [stream](std::error_code failed) {
            if (!failed) relay(stream);
        });
    }

    static void broken(http::Exchange& exchange) {
        exchange.begin(http::Response());
        exchange.write("half", [](std::error_code) {});
        exchange.end(true);
    }

    void echo(const std::shared_ptr<http::Exchange>& exchange) {
        exchange->read_body(
            settings_.max_body,
            [](std::uint64_t size, std::uint64_t limit) {
                return "Body is too large! " + std::to_string(size) + " > " + std::to_string(limit);
            },
            [exchange](http::Body body) {
                const http::Request& request = exchange->request();
                std::string content = std::string(request.method) + ' ' + std::string(request.target) + '\n';
                for (const http::Field& field : request.fields) {
                    content.append(field.name).append(": ").append(field.value).append("\n");
                }
                content += body.file ? "\nspooled\n" : "\n";
                http::Response response = text(content + body.bytes);
                if (body.file) {
                    response.pieces.emplace_back(
                        http::FileSlice{std::make_shared<const Fd>(std::move(body.file)), 0, body.size});
                }
                exchange->respond(std::move(response));
            });
    }

    void note(const char* line) const {
        if (!options_.log) return;
        std::puts(line);
        std::fflush(stdout);
    }

    const Options& options_;
    const http::Settings& settings_;
    std::map<std::uint64_t, std::shared_ptr<const std::string>> contents_;
    std::shared_ptr<const Fd> file_;
    std::mutex mutex_;
    std::condition_variable ended_;
    bool done_ = false;
    std::vector<std::thread> threads_;
    http::Server server_;
    std::map<http::Exchange*, std::shared_ptr<void>> timers_;  // go before the server
};

Fd listen_on(int port, int& bound) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(static_cast<std::uint16_t>(port));
    auto* plain = reinterpret_cast<sockaddr*>(&name);
    socklen_t size = sizeof name;
    if (::bind(socket.get(), plain, size) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
        ::getsockname(socket.get(), plain, &size) != 0) {
        quicken::throw_errno("listen on port", std::to_string(port));
    }
    bound = ntohs(name.sin_port);
    return socket;
}

SSL_CTX* tls_of(const Options& options) {
    if (options.certificate.empty()) return nullptr;
    SSL_CTX* tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls, options.certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, options.key.c_str(), SSL_FILETYPE_PEM) != 1) {
        throw quicken::Error("cannot use the certificate");
    }
    return tls;
}

/// "NAME=VALUE" of settings.hpp.
void set(http::Settings& settings, const std::string& assignment) {
    const std::map<std::string_view, std::uint64_t http::Settings::*> sizes{
        {"max_target", &http::Settings::max_target},
        {"max_header", &http::Settings::max_header},
        {"max_fields", &http::Settings::max_fields},
        {"max_body", &http::Settings::max_body},
        {"max_chunk_line", &http::Settings::max_chunk_line},
        {"spool_size", &http::Settings::spool_size},
        {"max_connections", &http::Settings::max_connections},
        {"require_length", &http::Settings::require_length}};
    const std::map<std::string_view, double http::Settings::*> times{
        {"handshake_timeout", &http::Settings::handshake_timeout},
        {"header_timeout", &http::Settings::header_timeout},
        {"body_timeout", &http::Settings::body_timeout},
        {"body_min_rate", &http::Settings::body_min_rate},
        {"idle_timeout", &http::Settings::idle_timeout},
        {"write_timeout", &http::Settings::write_timeout},
        {"drain_timeout", &http::Settings::drain_timeout}};
    const std::size_t equals = assignment.find('=');
    const std::string name = assignment.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : assignment.substr(equals + 1);
    if (const auto size = sizes.find(name); size != sizes.end()) {
        settings.*size->second = std::stoull(value);
    } else if (const auto time = times.find(name); time != times.end()) {
        settings.*time->second = std::stod(value);
    } else {
        throw quicken::Error("no such setting: " + name);
    }
}

/// Drains when stdin ends; stops on a line.
void watch_stdin(http::Server& server, int successor) {
    char byte = 0;
    if (::read(STDIN_FILENO, &byte, 1) > 0) {
        server.stop();
    } else {
        server.drain(Fd(successor));
    }
}

int run(const Options& options) {
    http::Settings settings;
    for (const std::string& assignment : options.settings) set(settings, assignment);
    Echo echo(options, settings);
    int port = options.port;
    Fd listener = options.listener >= 0 ? Fd(options.listener) : listen_on(options.port, port);
    SSL_CTX* tls = tls_of(options);
    echo.server().listen(std::move(listener), tls);
    SSL_CTX_free(tls);
    if (options.adopt >= 0) echo.server().adopt(Fd(options.adopt));
    std::printf("listening %d\n", port);
    std::fflush(stdout);
    std::thread watcher([&] { watch_stdin(echo.server(), options.successor); });
    echo.serve();
    echo.wait();
    watcher.detach();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Echoes HTTP requests");
    app.add_option("--port", options.port);
    app.add_option("--listener", options.listener, "descriptor of a listening socket");
    app.add_option("--adopt", options.adopt, "descriptor that connections come on");
    app.add_option("--successor", options.successor, "descriptor that connections go to");
    app.add_option("--certificate", options.certificate);
    app.add_option("--key", options.key);
    app.add_option("--file", options.file);
    app.add_option("--set", options.settings, "NAME=VALUE of src/http/settings.hpp");
    app.add_flag("--log", options.log);
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "http_echo: %s\n", error.what());
        return 1;
    }
}
