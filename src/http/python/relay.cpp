// See relay.hpp. The relay lives as long as one of its two directions, or the wait after the script's end.
#include "http/python/relay.hpp"

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

namespace quicken::http::python {
namespace {

using boost::system::error_code;
using Socket = boost::asio::local::stream_protocol::socket;

constexpr double k_linger = 5;  // seconds

class Relay : public std::enable_shared_from_this<Relay> {
 public:
    Relay(Server& server, std::unique_ptr<Stream> client, Fd script)
        : server_(server),
          client_(std::move(client)),
          script_(server.context(), boost::asio::local::stream_protocol(), script.release()) {}

    void start(std::string buffered) {
        to_script(std::move(buffered));
        from_script();
    }

 private:
    void from_script() {
        script_.async_read_some(boost::asio::buffer(bytes_),
                                [self = shared_from_this()](error_code error, size_t size) {
                                    if (error) {
                                        self->script_ended();
                                    } else {
                                        self->to_client(size);
                                    }
                                });
    }

    void to_client(size_t size) {
        client_->write(std::string(bytes_.data(), size), [self = shared_from_this()](std::error_code error) {
            if (error) {
                self->close();
            } else {
                self->from_script();
            }
        });
    }

    void script_ended() {
        if (client_ == nullptr) {
            return;
        }
        client_->shut();
        linger_ = server_.after(k_linger, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) {
                self->close();
            }
        });
    }

    void to_script(std::string bytes) {
        if (bytes.empty()) {
            from_client();
            return;
        }
        const auto kept = std::make_shared<std::string>(std::move(bytes));
        boost::asio::async_write(script_, boost::asio::buffer(*kept),
                                 [self = shared_from_this(), kept](error_code error, size_t) {
                                     if (!error) {
                                         self->from_client();
                                     }
                                 });
    }

    void from_client() {
        if (client_ == nullptr) {
            return;
        }
        client_->read([self = shared_from_this()](std::error_code error, std::string_view bytes) {
            if (error || bytes.empty()) {
                error_code ignored;  // the script's side may have gone before
                self->script_.shutdown(Socket::shutdown_send, ignored);
                self->linger_.reset();
            } else {
                self->to_script(std::string(bytes));
            }
        });
    }

    void close() {
        client_.reset();
        linger_.reset();
        error_code ignored;                                // there is nobody to tell
        script_.shutdown(Socket::shutdown_both, ignored);  // forked processes have the socket as well
        script_.close(ignored);
    }

    Server& server_;
    std::unique_ptr<Stream> client_;
    Socket script_;
    std::shared_ptr<void> linger_;
    std::array<char, 16 << 10> bytes_{};
};

}  // namespace

void relay(Server& server, std::unique_ptr<Stream> client, std::string buffered, Fd script) {
    std::make_shared<Relay>(server, std::move(client), std::move(script))->start(std::move(buffered));
}

}  // namespace quicken::http::python
