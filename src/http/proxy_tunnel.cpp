// Each direction has one read or one write under way and never both: so no side
// is read faster than the other one takes it. Every callback holds the tunnel;
// it goes when there is none left.
#include "http/proxy_tunnel.hpp"

#include <array>

namespace quicken::http {

namespace {

class Tunnel : public std::enable_shared_from_this<Tunnel> {
 public:
    Tunnel(Server& server, std::unique_ptr<Stream> client, std::shared_ptr<BackEnd> back_end, double linger)
        : server_(server), client_(std::move(client)), back_end_(std::move(back_end)), linger_(linger) {}

    void start(std::string answer, std::string early) {
        write(k_down, std::move(answer));
        if (early.empty()) return read(k_up);
        write(k_up, std::move(early));
    }

 private:
    enum Direction { k_up = 0, k_down = 1 };  // from the client; from the back end

    Stream& source(Direction direction) { return direction == k_up ? *client_ : *back_end_; }
    Stream& sink(Direction direction) { return direction == k_up ? *back_end_ : *client_; }

    void read(Direction direction) {
        if (!client_) return;
        source(direction).read(
            [self = shared_from_this(), direction](std::error_code error, std::string_view bytes) {
                self->came(direction, error, bytes);
            });
    }

    void came(Direction direction, std::error_code error, std::string_view bytes) {
        if (!client_) return;
        if (error) return cut();
        if (bytes.empty()) return ended(direction);
        moved_ = true;
        write(direction, std::string(bytes));
    }

    void write(Direction direction, std::string bytes) {
        sink(direction).write(std::move(bytes),
                              [self = shared_from_this(), direction](std::error_code error) {
                                  if (!self->client_) return;
                                  if (error) return self->cut();
                                  self->read(direction);
                              });
    }

    void ended(Direction direction) {
        ended_[direction] = true;
        if (ended_[k_up] && ended_[k_down]) return cut();
        sink(direction).shut();
        watch();
    }

    void watch() {
        moved_ = false;
        timer_ = server_.after(linger_, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self || !self->client_) return;
            if (self->moved_) return self->watch();
            self->cut();
        });
    }

    /// The client's end may be what is calling us: it goes in a turn of its own.
    void cut() {
        back_end_->close();
        timer_.reset();
        server_.post([client = std::shared_ptr<Stream>(std::move(client_))] {});
    }

    Server& server_;
    std::unique_ptr<Stream> client_;  // nullptr after cut()
    std::shared_ptr<BackEnd> back_end_;
    double linger_;  // seconds
    std::array<bool, 2> ended_{};
    bool moved_ = false;
    std::shared_ptr<void> timer_;
};

}  // namespace

void start_tunnel(Server& server, std::unique_ptr<Stream> client, std::shared_ptr<BackEnd> back_end,
                  std::string answer, std::string early, double linger) {
    std::make_shared<Tunnel>(server, std::move(client), std::move(back_end), linger)
        ->start(std::move(answer), std::move(early));
}

}  // namespace quicken::http
