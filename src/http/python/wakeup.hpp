// A descriptor that is readable once Python has taken note of a signal
// (signal.set_wakeup_fd()).
//
// The kernel gives a process's signal to any thread that does not block it;
// Python's handler notes it there, and only the main thread does what is to be
// done. Note first, then the byte: who finds nothing noted and then
// waits for the descriptor as well misses none.
#pragma once

#include "common/fd.hpp"

namespace quicken::http::python {

class Wakeup {
 public:
    /// With Python's lock, as the destructor, which keeps Python's error. A script's own descriptor keeps its
    /// place, and another thread than the main one has none: then fd() is -1.
    Wakeup();
    ~Wakeup();
    Wakeup(const Wakeup&) = delete;
    Wakeup& operator=(const Wakeup&) = delete;

    int fd() const { return is_set_ ? read_.get() : -1; }
    /// Takes what there is to read.
    void drain() const;

 private:
    Fd read_;
    Fd write_;
    bool is_set_ = false;
};

}  // namespace quicken::http::python
