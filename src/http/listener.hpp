// A listening socket.
#pragma once

#include <openssl/types.h>

#include <memory>

#include "common/fd.hpp"
#include "http/core.hpp"
#include "http/watch.hpp"

namespace quicken::http {

class Listener final : public Watch::Owner {
 public:
    /// Throws Error.
    Listener(Core& core, Fd socket, SSL_CTX* tls);
    ~Listener();

    /// Closes its descriptors and nothing else (after a fork).
    void abandon();

 private:
    void on_readable() override;
    void on_writable() override {}
    void accept_some();
    void shed();

    Core& core_;
    Fd socket_;
    SSL_CTX* tls_;  // a reference of ours, or null
    Fd reserve_;
    std::unique_ptr<Watch> watch_;
    std::shared_ptr<void> pause_;
};

}  // namespace quicken::http
