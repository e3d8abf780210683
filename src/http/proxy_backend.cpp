#include "http/proxy_backend.hpp"

#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <optional>

#include "common/error.hpp"

namespace quicken::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using Code = boost::system::error_code;
using Done = std::function<void(std::error_code)>;

namespace {

constexpr std::size_t k_read = 64 << 10;  // bytes at a time
constexpr std::size_t k_idle = 64;        // connections kept of one origin
constexpr double k_idle_time = 30;        // seconds
constexpr double k_sweep = 2;             // seconds

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_address(const std::string& host) {
    Code error;
    asio::ip::make_address(host, error);
    return !error;
}

class Connection final : public BackEnd, public std::enable_shared_from_this<Connection> {
 public:
    Connection(asio::io_context& context, const Origin& origin)
        : origin_(origin), resolver_(context), socket_(context) {}
    ~Connection() override { cut(); }

    void connect(asio::ssl::context* tls, Done done);
    void read(std::function<void(std::error_code, std::string_view)> done) override;
    void write(std::string bytes, Done done) override;
    void shut() override;
    void close() override;
    bool is_quiet() override;
    const Origin& origin() const override { return origin_; }

 private:
    void resolved(const tcp::resolver::results_type& found, asio::ssl::context* tls, Done done);
    void try_next(asio::ssl::context* tls, Done done, Code last);
    void connected(asio::ssl::context* tls, const Done& done);
    void handshake(asio::ssl::context& tls, const Done& done);
    void cut();

    Origin origin_;
    tcp::resolver resolver_;
    tcp::socket socket_;
    std::vector<tcp::endpoint> endpoints_;  // that have not been tried, the next one last
    std::optional<asio::ssl::stream<tcp::socket&>> tls_;
    std::vector<char> in_;
    std::string out_;
    bool closed_ = false;
};

void Connection::connect(asio::ssl::context* tls, Done done) {
    Code error;
    const auto address = asio::ip::make_address(origin_.host, error);
    auto self = shared_from_this();
    if (!error) {  // nothing to ask anybody: no thread is needed
        endpoints_.emplace_back(address, static_cast<std::uint16_t>(std::stoul(origin_.port)));
        asio::post(socket_.get_executor(), [self, tls, done = std::move(done)]() mutable {
            self->try_next(tls, std::move(done), asio::error::operation_aborted);
        });
        return;
    }
    try {
        resolver_.async_resolve(origin_.host, origin_.port, tcp::resolver::numeric_service,
                                [self, tls, done](Code code, const auto& found) mutable {
                                    if (code) return done(code);
                                    self->resolved(found, tls, std::move(done));
                                });
    } catch (const boost::system::system_error& failed) {
        // Asio looks up in a thread of its own, which could not be started.
        asio::post(socket_.get_executor(),
                   [self, done = std::move(done), code = failed.code()] { done(code); });
    }
}

void Connection::resolved(const tcp::resolver::results_type& found, asio::ssl::context* tls, Done done) {
    for (const auto& entry : found) endpoints_.insert(endpoints_.begin(), entry.endpoint());
    try_next(tls, std::move(done), asio::error::host_not_found);
}

void Connection::try_next(asio::ssl::context* tls, Done done, Code last) {
    if (closed_) return done(Code(asio::error::operation_aborted));
    if (endpoints_.empty()) return done(last);
    const tcp::endpoint endpoint = endpoints_.back();
    endpoints_.pop_back();
    Code ignored;  // of a socket that is not connected: nothing is lost
    socket_.close(ignored);
    // Not by Asio, which does not have it closed by exec.
    const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) return done(std::error_code(errno, std::system_category()));
    Code error;
    socket_.assign(endpoint.protocol(), fd, error);
    if (error) {
        ::close(fd);
        return done(error);
    }
    socket_.async_connect(endpoint,
                          [self = shared_from_this(), tls, done = std::move(done)](Code code) mutable {
                              if (code) return self->try_next(tls, std::move(done), code);
                              self->connected(tls, done);
                          });
}

void Connection::connected(asio::ssl::context* tls, const Done& done) {
    if (closed_) return done(Code(asio::error::operation_aborted));
    Code error;
    socket_.set_option(tcp::no_delay(true), error);
    // For a tunnel whose other side has vanished: no timeout of ours ends it.
    socket_.set_option(asio::socket_base::keep_alive(true), error);
    if (tls == nullptr) return done({});
    handshake(*tls, done);
}

void Connection::handshake(asio::ssl::context& tls, const Done& done) {
    tls_.emplace(socket_, tls);
    SSL* const ssl = tls_->native_handle();
    const char* const host = origin_.host.c_str();
    bool ready = false;
    if (is_address(origin_.host)) {
        ready = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    } else {
        ready = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    }
    if (!ready) return done(std::make_error_code(std::errc::not_enough_memory));
    tls_->async_handshake(asio::ssl::stream_base::client,
                          [self = shared_from_this(), done](Code code) { done(code); });
}

void Connection::read(std::function<void(std::error_code, std::string_view)> done) {
    if (in_.empty()) in_.resize(k_read);
    auto came = [self = shared_from_this(), done = std::move(done)](Code code, std::size_t size) {
        if (code == asio::error::eof) return done({}, {});
        done(code, std::string_view(self->in_.data(), size));
    };
    if (tls_) {
        tls_->async_read_some(asio::buffer(in_), std::move(came));
    } else {
        socket_.async_read_some(asio::buffer(in_), std::move(came));
    }
}

void Connection::write(std::string bytes, Done done) {
    out_ = std::move(bytes);
    auto written = [self = shared_from_this(), done = std::move(done)](Code code, std::size_t) {
        done(code);
    };
    if (tls_) {
        asio::async_write(*tls_, asio::buffer(out_), std::move(written));
    } else {
        asio::async_write(socket_, asio::buffer(out_), std::move(written));
    }
}

// Of TLS only the carrier is shut: SSL_shutdown(3) would take the answers that are still to come for an
// error.
void Connection::shut() {
    Code ignored;  // the other side has gone: the read under way says so
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void Connection::close() {
    closed_ = true;
    resolver_.cancel();
    cut();
}

void Connection::cut() {
    Code ignored;  // not connected yet, or not any more
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
}

bool Connection::is_quiet() {
    char byte = 0;
    const ssize_t came = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return came < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace

class BackEnds::Tls {
 public:
    Tls() : context(asio::ssl::context::tls_client) {
        context.set_default_verify_paths();
        context.set_verify_mode(asio::ssl::verify_peer);
    }
    asio::ssl::context context;
};

BackEnds::BackEnds(Server& server) : server_(server) {}
BackEnds::~BackEnds() = default;

std::shared_ptr<BackEnd> BackEnds::connect(const Origin& origin, Done done) {
    // The store is read at the first connection that needs it.
    if (origin.tls && !tls_) tls_ = std::make_unique<Tls>();
    auto connection = std::make_shared<Connection>(server_.context(), origin);
    connection->connect(origin.tls ? &tls_->context : nullptr, std::move(done));
    return connection;
}

std::shared_ptr<BackEnd> BackEnds::take(const Origin& origin, double seconds) {
    const auto found = idle_.find(origin.key());
    if (found == idle_.end()) return nullptr;
    std::vector<Idle>& idle = found->second;
    while (!idle.empty()) {  // the last one has been idle for the shortest time
        const Idle last = std::move(idle.back());
        idle.pop_back();
        if (last.since + seconds < now()) {
            idle.push_back(last);
            return nullptr;
        }
        if (last.back_end->is_quiet()) return last.back_end;
    }
    return nullptr;
}

void BackEnds::keep(std::shared_ptr<BackEnd> back_end) {
    std::vector<Idle>& idle = idle_[back_end->origin().key()];
    if (idle.size() >= k_idle) return;
    idle.push_back({std::move(back_end), now()});
    if (!sweeper_) sweeper_ = server_.after(k_sweep, [this] { sweep(); });
}

void BackEnds::sweep() {
    sweeper_.reset();
    const double limit = now() - k_idle_time;
    for (auto entry = idle_.begin(); entry != idle_.end();) {
        std::erase_if(entry->second,
                      [limit](Idle& idle) { return idle.since < limit || !idle.back_end->is_quiet(); });
        entry = entry->second.empty() ? idle_.erase(entry) : std::next(entry);
    }
    if (!idle_.empty()) sweeper_ = server_.after(k_sweep, [this] { sweep(); });
}

}  // namespace quicken::http
