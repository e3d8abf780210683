// How the hook gets in: the supervisor starts the script's own interpreter
// with this library in LD_PRELOAD. libc's __libc_start_main is called by every
// dynamic program's _start with the address of its main; ours hands it
// template_main instead, so nothing of the interpreter's own start has run yet
// and /proc/PID/exe, comm and sys.executable are those of a plain run.
//
// Without QUICKEN_TEMPLATE in the environment it does nothing.
#include <dlfcn.h>
#include <stdlib.h>

#include "common/control.hpp"
#include "environment.hpp"
#include "template.hpp"

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

extern "C" __attribute__((visibility("default"))) int __libc_start_main(Main main, int argc, char** argv,
                                                                        void (*init)(), void (*fini)(),
                                                                        void (*rtld_fini)(),
                                                                        void* stack_end) {
    auto start = reinterpret_cast<StartMain>(dlsym(RTLD_NEXT, "__libc_start_main"));
    if (getenv(quicken::control::k_environment) != nullptr) {
        main = quicken::interp::template_main;
    } else {
        quicken::interp::note_variables(false);
    }
    return start(main, argc, argv, init, fini, rtld_fini, stack_end);
}
