// Readiness of a descriptor, told once each time it is asked for.
//
// Reading and writing themselves are the owner's: it tries first, and asks only
// where the kernel says EAGAIN, so that an idle connection needs no buffer.
#pragma once

#include <system_error>

#include "http/loop.hpp"

namespace quicken::http {

class Watch {
 public:
    /// Both are called with nothing of the engine on the stack.
    class Owner {
     public:
        virtual void on_readable() = 0;
        virtual void on_writable() = 0;

     protected:
        ~Owner() = default;
    };

    /// Neither loop, nor owner, nor descriptor are owned; they outlive it. Throws Error.
    Watch(Loop& loop, int descriptor, Owner& owner);
    /// No call comes any more.
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    void want_read();
    void want_write();

 private:
    struct State;
    State* state_;
};

}  // namespace quicken::http
