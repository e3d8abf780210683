// libFuzzer's target for what a client may send: a whole server, and a client
// that sends the input in pieces, ends and reads all answers.
//
// The input's first byte says how: its low 7 bits seed the sizes of the pieces
// (0: one piece), the high bit has the client go without reading. The rest is
// sent as it is. Checked, beside what sanitizers see: every answer is one of
// HTTP, they are as many as the requests that have been handled or one more
// (the engine's own refusal, the last), and the connection ends in time.
//
// The loop has a thread of its own. A run is one connection, and the next one
// begins when the server has no connection left: so what is noted of requests
// is this run's.
#include <fmt/format.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <thread>

#include "http/files.hpp"
#include "http/representation.hpp"
#include "http/server.hpp"

namespace {

using namespace quicken;
using namespace quicken::http;

constexpr int k_patience = 20000;  // ms

[[noreturn]] void fail(std::string_view what, std::string_view bytes = {}) {
    fmt::print(stderr, "http_request: {}\n{}\n", what, bytes);
    std::abort();
}

/// Answers in each way that there is; the path's first letter says which.
class Everything : public Application {
 public:
    void handle(std::shared_ptr<Exchange> exchange) override {
        const Request& request = exchange->request();
        check(request);
        {
            const std::lock_guard lock(mutex_);
            methods_.emplace_back(request.method);
        }
        const auto path = normal_path(request.target);
        if (!path) return exchange->respond(error_page(400));
        switch (path->size() > 1 ? (*path)[1] : '/') {
            case 'b':
                return whole(exchange);
            case 's':
                return stream(exchange);
            case 'g':
                return represented(exchange);
            case 'n':
                return;
            case 'l':
                return later(exchange);
            case 'c':
                return cut(exchange);
            default:
                break;
        }
        if (!files->answer(exchange, *path)) exchange->respond(error_page(404, {}, *path));
    }

    void answered(const Request&, unsigned, std::uint64_t, double) override {}

    std::vector<std::string> take_methods() {
        const std::lock_guard lock(mutex_);
        return std::exchange(methods_, {});
    }

    Server* server = nullptr;
    Files* files = nullptr;

 private:
    /// What message.hpp promises.
    static void check(const Request& request) {
        if (request.method.empty()) fail("no method");
        if (request.target != "*" && !request.target.starts_with('/')) fail("bad target", request.target);
        if (request.chunked && request.content_length) fail("two lengths");
        unsigned hosts = 0;
        for (const Field& field : request.fields) {
            if (field.name.empty()) fail("no name");
            for (const char c : field.value) {
                if ((c >= 0 && c < ' ' && c != '\t') || c == '\x7f') fail("control character", field.value);
            }
            hosts += field.name.size() == 4 && request.field("host").data() == field.value.data() ? 1U : 0U;
        }
        if (request.minor == 1 && hosts != 1) fail("not one Host");
    }

    static void whole(const std::shared_ptr<Exchange>& exchange) {
        exchange->read_body(1 << 16, nullptr, [exchange](Body body) {
            Response response;
            response.pieces.emplace_back(std::move(body.bytes));
            exchange->respond(std::move(response));
        });
    }

    static void stream(const std::shared_ptr<Exchange>& exchange) {
        exchange->begin({});
        part(exchange);
    }

    static void part(const std::shared_ptr<Exchange>& exchange) {
        exchange->read_some([exchange](std::error_code error, std::string_view bytes, bool last) {
            if (error) return exchange->end(true);
            exchange->write(std::string(bytes), [exchange, last](std::error_code failed) {
                if (failed || last) return exchange->end(static_cast<bool>(failed));
                part(exchange);
            });
        });
    }

    static void represented(const std::shared_ptr<Exchange>& exchange) {
        Response response;
        response.add("Content-Type", "text/plain");
        response.pieces.emplace_back(std::string(3000, 'x'));
        Policy policy;
        policy.cross_origin = true;
        represent(exchange->request(), response, policy);
        add_cross_origin(exchange->request(), response, policy);
        exchange->respond(std::move(response));
    }

    void later(const std::shared_ptr<Exchange>& exchange) {
        server->post([exchange] { exchange->respond(error_page(418)); });
    }

    /// Fewer bytes than were announced.
    static void cut(const std::shared_ptr<Exchange>& exchange) {
        Response head;
        head.add("Content-Length", "10");
        exchange->begin(std::move(head));
        exchange->write("abc", [exchange](std::error_code) { exchange->end(); });
    }

    std::mutex mutex_;
    std::vector<std::string> methods_;
};

std::string make_files() {
    char directory[] = "/tmp/quicken-fuzz-XXXXXX";
    if (::mkdtemp(directory) == nullptr) fail("mkdtemp");
    std::ofstream(std::string(directory) + "/f.txt") << std::string(2000, 'f');
    std::ofstream(std::string(directory) + "/index.html") << "<html></html>";
    std::ofstream(std::string(directory) + "/r.png") << std::string(300000, 'r');
    return directory;
}

/// The server under test; there is one, until the process ends.
class Subject {
 public:
    Subject() : server_(everything, settings_), files_(server_) {
        settings_.max_header = 2048;
        settings_.max_target = 512;
        settings_.max_body = 1 << 16;
        settings_.spool_size = 256;
        directory_ = make_files();
        FileRules rules;
        rules.folders.push_back({"/", directory_});
        rules.directory_listing = true;
        files_.set(rules);
        everything.server = &server_;
        everything.files = &files_;
        address_.sun_family = AF_UNIX;  // in the abstract name space: no file is left
        fmt::format_to(address_.sun_path + 1, "quicken-fuzz-{}", ::getpid());
        Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listener.get(), address(), sizeof address_) != 0 || ::listen(listener.get(), 16) != 0)
            fail("bind");
        server_.listen(std::move(listener), nullptr);
        loop_ = std::thread([this] { server_.run(); });
    }

    ~Subject() {
        server_.stop();
        loop_.join();
        for (const char* name : {"/f.txt", "/index.html", "/r.png", ""})
            ::remove((directory_ + name).c_str());
    }

    Fd connect() const {
        Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::connect(client.get(), address(), sizeof address_) != 0) fail("connect");
        return client;
    }

    void wait_for_end() const {
        for (int waited = 0; server_.activity().connections > 0; ++waited) {
            if (waited > k_patience * 10) fail("the connection does not end");
            ::usleep(100);
        }
    }

    Everything everything;

 private:
    const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }

    Settings settings_;
    Server server_;
    Files files_;
    sockaddr_un address_{};
    std::string directory_;
    std::thread loop_;
};

class Client {
 public:
    explicit Client(Fd socket) : socket_(std::move(socket)) {}

    /// Reads whenever it cannot write: the server need not take more before its answers are taken.
    void send(std::string_view bytes) {
        while (!bytes.empty() && !ended_) {
            pollfd wait{socket_.get(), POLLIN | POLLOUT, 0};
            if (::poll(&wait, 1, k_patience) <= 0) fail("it takes no more", got);
            if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) != 0) read();
            if ((wait.revents & POLLOUT) == 0) continue;
            const ssize_t sent =
                ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
            if (sent < 0 && errno != EAGAIN) ended_ = true;
        }
    }

    void finish() {
        ::shutdown(socket_.get(), SHUT_WR);
        while (!ended_) {
            pollfd wait{socket_.get(), POLLIN, 0};
            if (::poll(&wait, 1, k_patience) <= 0) fail("it does not end", got);
            read();
        }
    }

    std::string got;

 private:
    void read() {
        char buffer[1 << 16];
        const ssize_t came = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (came > 0) got.append(buffer, static_cast<std::size_t>(came));
        if (came == 0 || (came < 0 && errno != EAGAIN)) ended_ = true;
    }

    Fd socket_;
    bool ended_ = false;
};

std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find("\r\n");
    if (end == std::string_view::npos) fail("a line does not end", rest);
    const std::string_view line = rest.substr(0, end);
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
        fail("a line is broken", line);
    rest.remove_prefix(end + 2);
    return line;
}

std::uint64_t number(std::string_view text, int base) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) fail("no number", text);
    return value;
}

/// True if the answer has been cut within its body, which ends all.
bool take_chunks(std::string_view& rest) {
    while (true) {
        if (rest.find("\r\n") == std::string_view::npos) return true;
        const std::uint64_t size = number(take_line(rest), 16);
        if (rest.size() < size + 2) return true;
        rest.remove_prefix(size);
        if (!take_line(rest).empty()) fail("a chunk is broken", rest);
        if (size == 0) return false;
    }
}

/// Takes one answer, interim ones included. True if nothing can follow.
bool take_answer(std::string_view& rest, bool head_only) {
    const std::string_view line = take_line(rest);
    if (line.size() < 14 || !line.starts_with("HTTP/1.1 ") || line[12] != ' ') fail("no status line", line);
    const std::uint64_t status = number(line.substr(9, 3), 10);
    std::string_view length;
    bool chunked = false;
    for (std::string_view field = take_line(rest); !field.empty(); field = take_line(rest)) {
        if (field.find(": ") == std::string_view::npos) fail("no field", field);
        if (field.starts_with("Content-Length: ")) {
            if (!length.empty()) fail("two lengths", field);
            length = field.substr(16);
        }
        if (field == "Transfer-Encoding: chunked") chunked = true;
    }
    if (status == 100) return take_answer(rest, head_only);
    if (chunked && !length.empty()) fail("two ways to tell the length");
    if (head_only || status == 204 || status == 304) return false;
    if (chunked) return take_chunks(rest);
    if (length.empty()) {  // ended by the connection's end
        rest = {};
        return true;
    }
    const std::uint64_t size = number(length, 10);
    const bool cut = rest.size() < size;
    rest.remove_prefix(std::min<std::uint64_t>(size, rest.size()));
    return cut;
}

void check(std::string_view got, const std::vector<std::string>& methods) {
    std::size_t answers = 0;
    while (!got.empty()) {
        const bool last = take_answer(got, answers < methods.size() && methods[answers] == "HEAD");
        if (++answers > methods.size() + 1) fail("more answers than requests", got);
        if (last && !got.empty()) fail("bytes after the last answer", got);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Subject subject;
    if (size < 2) return -1;
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::uint32_t seed = *data & 0x7fU;
    {
        Client client(subject.connect());
        while (seed != 0 && !rest.empty()) {
            seed = seed * 1664525U + 1013904223U;  // Numerical Recipes' generator
            const std::size_t piece = std::min<std::size_t>(rest.size(), 1 + (seed >> 16U) % 40);
            client.send(rest.substr(0, piece));
            rest.remove_prefix(piece);
            if (seed >> 29U == 0) ::usleep(20);  // so that the server reads what has come
        }
        client.send(rest);
        if ((*data & 0x80U) == 0) {
            client.finish();
            check(client.got, subject.everything.take_methods());
        }
    }
    if ((*data & 0x80U) != 0) {
        // Connections are accepted in turn: once this one is answered the server knows the one before.
        Client next(subject.connect());
        next.send("GET /g HTTP/1.0\r\n\r\n");
        next.finish();
    }
    subject.wait_for_end();
    subject.everything.take_methods();
    return 0;
}
