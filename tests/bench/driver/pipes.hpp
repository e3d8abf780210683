// Standard streams as in a shell's $(...): standard input is a pipe that
// nobody writes to, standard output and standard error are one pipe.
#pragma once

#include <fcntl.h>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "driver/output.hpp"

namespace quicken::bench {

class Pipes {
 public:
    static constexpr int k_size =
        1 << 20;  // bytes; what a run writes beyond has to wait for ever, and it is ended

    Pipes() {
        int in[2], out[2];
        if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw_errno("make", "pipes");
        ends_[0].reset(in[0]), ends_[1].reset(in[1]), ends_[2].reset(out[0]), ends_[3].reset(out[1]);
        ::fcntl(out[1], F_SETPIPE_SZ, k_size);  // refused: more than the user may have; then it is 64 KiB
        for (int end = 0; end < 3; ++end) streams_[end] = end == 0 ? in[0] : out[1];
    }

    /// What becomes 0, 1 and 2 of a run.
    const int* streams() const { return streams_; }

    /// Takes what the run that has ended has written.
    void drain(Output& output) {
        ::fcntl(ends_[2].get(), F_SETFL, O_NONBLOCK);
        char buffer[65536];
        for (ssize_t size = 0; (size = ::read(ends_[2].get(), buffer, sizeof buffer)) > 0;) {
            output.add({buffer, static_cast<std::size_t>(size)});
        }
        output.end();
    }

 private:
    Fd ends_[4];
    int streams_[3]{};
};

}  // namespace quicken::bench
