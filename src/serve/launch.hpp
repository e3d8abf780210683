// How a process of the script is started: as `quicken run` would start it from
// a shell, but in a session of its own. So Ctrl-C and Ctrl-Z reach the
// supervisor alone, who passes them on, and the client makes no pseudo-terminal:
// the script has our streams as they are.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "common/fd.hpp"
#include "serve/options.hpp"

namespace quicken::serve {

class Launch {
 public:
    /// `prefix` is that of the installation. The number of the control socket is one that nobody has
    /// inherited, and the same in each start: what is warm is told by the environment too. Mask and ignored
    /// signals of the script are those of this moment.
    Launch(const Options& options, const std::string& prefix);

    /// `control` becomes the script's end. `subsequent`: it is not the first start. Throws Error.
    pid_t start(const Fd& control, bool subsequent) const;

 private:
    std::vector<std::string> arguments_;
    std::vector<std::string> environment_;
    Fd number_;  // holds its place
    sigset_t mask_{};
    sigset_t defaults_{};
};

/// PREFIX of PREFIX/libexec/quicken/quicken-serve.
std::string own_prefix();

}  // namespace quicken::serve
