// A connected socket, plain or TLS, that never blocks.
#pragma once

#include <openssl/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/fd.hpp"

namespace quicken::http {

enum class Io : std::uint8_t {
    done,
    read_first,   // again when it is readable
    write_first,  // again when it is writable
    end,          // the peer has sent its end
    failed,       // the connection is of no more use
};

struct Transfer {
    Io io;
    std::size_t size = 0;  // bytes; more than 0 exactly if done
};

class Transport {
 public:
    static constexpr std::size_t k_block = 16 << 10;  // bytes; a TLS record's

    /// `tls` may be null. Throws Error.
    Transport(Fd socket, SSL_CTX* tls);

    Io handshake();
    Transfer read(std::span<char> buffer);
    /// `more`: further bytes follow at once. `block` is room for k_block bytes.
    Transfer write(std::span<const iovec> parts, bool more, char* block);
    Transfer send_file(int file, std::uint64_t offset, std::uint64_t size, char* block);
    /// Bytes have been read from the socket that read() has not given out yet: no readiness will tell of
    /// them.
    bool pending() const;
    /// Bytes that were written and that the peer's kernel has not yet taken.
    int unsent() const;
    /// What has not been taken goes with the socket, and the peer is told so.
    void forget_unsent();
    /// Something has come that read() has not given out.
    bool has_input() const;
    /// Says the end of what is written.
    void shut();

    bool tls() const { return tls_ != nullptr; }
    int socket() const { return socket_.get(); }
    /// The socket alone, without TLS and any farewell.
    Fd release() { return std::move(socket_); }

 private:
    struct Free {
        void operator()(SSL* tls) const;
    };
    Transfer tls_result(int result) const;

    Fd socket_;
    std::unique_ptr<SSL, Free> tls_;
};

}  // namespace quicken::http
