// Asio's reactor behind watch.hpp.
//
// A wait that has been cancelled completes later, when the owner is gone: so
// the state outlives the Watch by its pending waits. It is freed by the last of
// their handlers before anything else is called, never by a handler's
// destructor (loop.hpp, rule 4).
#include "http/watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "common/error.hpp"

namespace quicken::http {
namespace {

namespace asio = boost::asio;

// The executor's type is spelt out: Asio's own choice erases it, at a cost for each wait.
using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

}  // namespace

struct Watch::State {
    State(Loop& loop_in, int fd, Owner& owner_in)
        : loop(loop_in), owner(&owner_in), descriptor(loop_in.context(), fd) {}

    template <auto Call>
    void wait(Descriptor::wait_type type, bool& pending);

    Loop& loop;
    Owner* owner;
    Descriptor descriptor;
    bool reading = false;
    bool writing = false;
};

template <auto Call>
void Watch::State::wait(Descriptor::wait_type type, bool& pending) {
    if (pending) return;
    pending = true;
    descriptor.async_wait(type, [this, &pending](boost::system::error_code) {
        pending = false;
        if (owner == nullptr) {
            if (!reading && !writing) delete this;
            return;
        }
        // An error other than the owner's end shows in its next read or write.
        Loop& here = loop;
        here.enter();
        (owner->*Call)();
        here.leave();
    });
}

Watch::Watch(Loop& loop, int descriptor, Owner& owner) try : state_(new State(loop, descriptor, owner)) {
} catch (const boost::system::system_error& error) {
    throw Error("watch", "a descriptor", error.code().value());
}

Watch::~Watch() {
    state_->owner = nullptr;
    // Takes it out of the epoll set even where another process has the same socket.
    (void)state_->descriptor.release();
    if (!state_->reading && !state_->writing) delete state_;
}

void Watch::want_read() {
    state_->wait<&Owner::on_readable>(Descriptor::wait_read, state_->reading);
}

void Watch::want_write() {
    state_->wait<&Owner::on_writable>(Descriptor::wait_write, state_->writing);
}

}  // namespace quicken::http
