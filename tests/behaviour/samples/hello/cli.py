"""What a console script can tell of the process that it runs in."""

import argparse
import json
import os
import signal
import sys


def about():
    main = sys.modules["__main__"]
    with open("/proc/self/status") as file:
        masks = [line for line in file if line.startswith(("SigBlk", "SigIgn"))]
    return {
        "argv": sys.argv, "orig_argv": getattr(sys, "orig_argv", None), "flags": list(map(str, sys.flags)),
        "xoptions": sorted(sys._xoptions), "warnoptions": sys.warnoptions, "executable": sys.executable,
        "prefix": sys.prefix, "path": sys.path, "main": [main.__file__, main.__name__, repr(main.__spec__)],
        "environ": dict(os.environ), "cwd": os.getcwd(), "umask": os.umask(0o22), "masks": masks,
        "handlers": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM)],
        "streams": [[s.encoding, s.errors, s.isatty()] for s in (sys.stdin, sys.stdout, sys.stderr)],
        "blocking": [os.get_blocking(fd) for fd in range(3)], "fds": sorted(os.listdir("/proc/self/fd"), key=int),
    }


def child_dies_of_sigpipe():
    """Whether a child without restored signals does: those that this process ignores."""
    pid = os.fork()
    if pid == 0:
        os.execl("/bin/sh", "sh", "-c", "kill -PIPE $$; exit 7")
    return os.waitpid(pid, 0)[1]


class Cli:
    @staticmethod
    def run():
        parser = argparse.ArgumentParser(description="a sample")
        parser.add_argument("what", nargs="?", default="about")
        parser.add_argument("arguments", nargs="*")
        given = parser.parse_args()
        if given.what == "about":
            print(json.dumps(about(), indent=1, sort_keys=True))
        elif given.what == "raise":
            print("to be flushed", end="")
            raise ValueError(given.arguments)
        elif given.what == "return":
            return json.loads(given.arguments[0])
        elif given.what == "read":
            print(sys.stdin.read(), file=sys.stderr)
        elif given.what == "kill":
            os.kill(os.getpid(), int(given.arguments[0]))
        elif given.what == "pipe":
            print(child_dies_of_sigpipe())
        elif given.what == "system":
            sys.stdout.flush()
            os.system(given.arguments[0])
        elif given.what == "again":
            sys.stdout.flush()
            return os.spawnv(os.P_WAIT, sys.argv[0], [sys.argv[0], *given.arguments])
        return None


main = Cli.run
