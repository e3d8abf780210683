"""Small preludes, each of which reads or leaves one thing, each run under every condition that is changed here.

A row of PRELUDES: its name, the prelude, what main prints, and what `quickenctl explain --json` must say of it: for the
top rung where the thing is found in the section of one of its templates, for others the reason. Whatever the rung,
what is seen of each run is what plain Python gives, to the byte.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import surroundings

MAIN = "if __name__ == '__main__':\n    print("


def key(**expected):
    """Of a section: each name has this value, or contains it."""
    return {"section": expected}


def unfit(reason):
    return {"reason": reason}


ENVIRON = "import os\n"
PRELUDES = (
    # What is read of the client
    ("variable", ENVIRON + "A = os.environ.get('VAR')", "A", key(variables="VAR")),
    ("variable by getenv in C", "import ctypes\nC = ctypes.CDLL(None)\nC.getenv.restype = ctypes.c_char_p\nA = C.getenv(b'VAR')",
     "A", key(variables="VAR")),
    ("absent variable", ENVIRON + "A = 'NO_COLOR' in os.environ", "A", key(variables="NO_COLOR")),
    ("path of home", ENVIRON + "A = os.path.expanduser('~/x')", "A", key(variables="HOME")),
    ("whole environment", ENVIRON + "A = sorted(set(os.environ) & {'VAR', 'NO_COLOR'})", "A", key(whole_environment=True)),
    ("child's environment", "import subprocess\nA = subprocess.check_output(['sh', '-c', 'echo $VAR'])", "A", None),
    ("directory", ENVIRON + "A = os.getcwd()", "A", key(cwd="/")),
    ("listed directory", ENVIRON + "A = os.listdir('.')", "A, os.listdir('.')", key(cwd="/")),
    ("relative file", ENVIRON + "A = os.path.exists('here.txt')", "A", key(cwd="/")),
    ("name", "import sys\nA = sys.argv[0]", "A, sys.argv", key(argv0="script.py")),
    ("arguments", "import sys\nA = sys.argv[1:]", "A", unfit("reads sys.argv")),
    ("parsed arguments", "import argparse\nP = argparse.ArgumentParser()\nP.add_argument('x', nargs='*')\nA = P.parse_args()",
     "A", unfit("reads sys.argv")),
    ("original arguments", "import sys\nA = sys.orig_argv[1:]", "A", unfit("reads sys.orig_argv")),
    ("own arguments", "import sys\nsys.argv = ['fixed', '-x']", "sys.argv", key(rung="prelude")),
    ("arguments by name", "from sys import argv, orig_argv", "argv, orig_argv[1:], type(argv), type(orig_argv)", key(rung="prelude")),
    ("input", "import sys\nA = sys.stdin.read()", "A", unfit("reads standard input")),
    ("input of a terminal alone", "import sys\nA = sys.stdin.isatty() or sys.stdin.readline()", "A", None),
    ("output a terminal", "import sys\nA = sys.stdout.isatty()", "A", key(terminal="1")),
    ("errors a terminal", ENVIRON + "A = os.isatty(2)", "A", key(terminal="2")),
    ("size of the window", "import shutil\nA = shutil.get_terminal_size()", "A", key(variables="COLUMNS")),
    ("size by ioctl", "import fcntl, termios\ntry: A = fcntl.ioctl(1, termios.TIOCGWINSZ, b'.' * 8)\nexcept OSError as e: A = e",
     "A", key(terminal="1")),
    ("size by a library", "import readline", "'late'", key(terminal="0")),
    ("name of the terminal", ENVIRON + "try: A = bool(os.ttyname(0))\nexcept OSError: A = None", "A", None),
    ("kind of the input", "import os, stat\nA = stat.S_ISFIFO(os.fstat(0).st_mode)", "A", unfit("os.fstat of standard input")),
    ("signal that there is not", "import signal\ntry: signal.getsignal(0)\nexcept ValueError as e: A = str(e)", "A", key(rung="prelude")),
    ("processors", ENVIRON + "A = os.sched_getaffinity(0)", "A", key(rung="prelude")),
    ("locale", "import locale\nA = locale.setlocale(locale.LC_ALL, ''), locale.getpreferredencoding()", "A", key(rung="prelude")),
    # What is read of the machine
    ("file", "with open(__file__) as file: A = len(file.read())", "A", key(rung="prelude")),
    ("absent file", "try: open('/nonexistent/file')\nexcept OSError as e: A = e", "A", key(rung="prelude")),
    ("module", "import json\nA = json.dumps([1])", "A", key(rung="prelude")),
    ("absent module", "try: import not_there as A\nexcept ImportError as e: A = e", "A", key(rung="prelude")),
    ("library", "import sqlite3\nA = sqlite3.sqlite_version", "A", key(rung="prelude")),
    # What is printed
    ("printed", "print('early')", "'late'", key(terminal="1")),
    ("printed on errors", "import sys\nprint('early', file=sys.stderr)", "'late'", key(rung="prelude")),
    ("buffered by line", "import sys\nsys.stdout.reconfigure(line_buffering=True)", "sys.stdout.line_buffering", key(rung="prelude")),
    ("other newlines", "import sys\nsys.stdout.reconfigure(newline='\\r\\n')\nprint('early')", "'late'", key(terminal="1")),
    ("written to the fd", ENVIRON + "os.write(1, b'early\\n')", "'late'", key(rung="prelude")),
    ("warned", "import warnings\nwarnings.warn('early')", "'late'", key(rung="prelude")),
    # What is left
    ("environment", ENVIRON + "os.environ['SET'] = os.environ.get('VAR', 'x')", "os.environ['SET']", key(left="SET")),
    ("handler", "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: None)", "signal.getsignal(10).__name__", key(left="SIGUSR1")),
    ("function for the end", "import atexit\natexit.register(print, 'end')", "'late'", key(rung="prelude")),
    ("thread", "import threading, time\nthreading.Thread(target=time.sleep, args=(.3,), daemon=True).start()", "threading.active_count()",
     unfit("thread")),
    ("open file", "F = open(__file__)", "F.readline()", unfit("open")),
    ("listening socket", "import socket\nS = socket.socket()\nS.listen()", "S.getsockname()[0]", unfit("listening socket")),
    ("pair of sockets", "import socket\nA, B = socket.socketpair()", "A.family", unfit("open")),
    ("epoll", "import select\nE = select.epoll()", "E.closed", unfit("epoll")),
    ("pipe", ENVIRON + "R, W = os.pipe()", "R", unfit("open")),
    ("child process", "import subprocess\nP = subprocess.Popen(['sleep', '0.2'])", "P.wait()", None),
    ("fork", ENVIRON + "P = os.fork()\nif not P: os._exit(0)\nos.waitpid(P, 0)", "'late'", unfit("os.fork")),
    ("database", "import sqlite3\nD = sqlite3.connect(__file__ + '.db')", "D.execute('select 1').fetchall()", unfit("open")),
    ("temporary file", "import tempfile\nF = tempfile.NamedTemporaryFile()", "F.closed", unfit("writes '/tmp/tmp")),
    ("written file", "with open(__file__ + '.out', 'w') as file: file.write('x')", "'late'", unfit("writes")),
    ("made directory", ENVIRON + "os.makedirs(__file__ + '.d', exist_ok=True)", "'late'", unfit("os.mkdir")),
    ("changed directory", ENVIRON + "os.chdir('/')", "os.getcwd()", unfit("changes the working directory")),
    ("umask", ENVIRON + "os.umask(0o27)", "oct(os.umask(0))", unfit("changes the umask")),
    ("limit", "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))", "resource.getrlimit(4)", unfit("resource limits")),
    ("niceness", ENVIRON + "os.nice(1)", "os.nice(0)", unfit("scheduled")),
    ("timer", "import signal\nsignal.setitimer(signal.ITIMER_REAL, 9)", "signal.getitimer(0)[0] > 1", unfit("timer")),
    ("blocked signal", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [10])", "signal.pthread_sigmask(0, [])", unfit("blocks signals")),
    ("time", "import time\nSTART = time.time()", "time.time() - START < 2", unfit("keeps the time in __main__.START")),
    ("seeded numbers", "import random\nrandom.seed(1)", "random.random()", unfit("random")),
    ("drawn number", "import random\nA = random.random()", "0 <= A < 1", unfit("random")),
    ("shared memory", "import mmap\nM = mmap.mmap(-1, 4096)", "len(M)", unfit("memory that all commands would share")),
    ("tracing", "import sys\nsys.settrace(lambda *_: None)", "sys.gettrace() is not None", unfit("trac")),
    ("end", "raise SystemExit(5)", "'never'", unfit("SystemExit")),
    ("exception", "A = 1 / 0", "'never'", unfit("ZeroDivisionError")),
    ("no fork point before", "print('all')\nimport sys\nsys.exit(3)", "'never'", unfit("SystemExit")),
)

# Environment, arguments, standard input, terminal's size, working directory below the bed's.
CONDITIONS = {
    "none": {},
    "a variable": {"env": {"VAR": "two"}},
    "an empty variable": {"env": {"VAR": "", "NO_COLOR": "1"}},
    "another home": {"env": {"HOME": "/nonexistent"}},
    "a width": {"env": {"COLUMNS": "47"}},
    "another locale": {"env": {"LANG": "C"}},
    "arguments": {"arguments": ["-x", "--", "ä"], "status": None},
    "input": {"stdin": b"a line\nand another\n"},
    "another directory": {"folder": "other"},
    "a terminal": {"size": (24, 80)},
    "another terminal": {"size": (40, 133)},
}


class Conditions(surroundings.Screen, harness.Case):
    activation = "self"

    def row(self, prelude, shown, expected):
        script = self.bed.write("script.py", f"{prelude}\n{MAIN}{shown})\n")
        os.mkdir(self.bed.path("other"))
        with open(self.bed.path("other/here.txt"), "w"):
            pass
        for name, condition in CONDITIONS.items():
            with self.subTest(condition=name):
                plain = self.seen([harness.PYTHON, script], **condition)
                for run in ("first", "second"):
                    self.assertEqual(plain, self.seen(self.bed.quick_argv([script]), **condition), run)
        # Of a change back too: nothing is kept of the others.
        self.assertEqual(self.seen([harness.PYTHON, script]), self.seen(self.bed.quick_argv([script])))
        self.assert_explained(script, expected)

    def seen(self, argv, env=None, arguments=(), stdin=b"", folder="", size=None, status=0):
        argv, place = [*argv, *arguments], self.bed.path(folder)
        if size:
            return self.on_terminal(argv, env, place, size, typed=b"typed\n\4")
        return self.bed.run(argv, stdin=stdin, env=env, cwd=place)

    def assert_explained(self, script, expected):
        told = json.loads(self.bed.ctl("explain", "--json", script).stdout)
        if expected is None:
            return
        if "reason" in expected:
            reasons = [each["reason"] for each in told["given_up"]]
            self.assertTrue(any(expected["reason"] in reason for reason in reasons), reasons)
            return
        self.assertTrue(told["templates"], told)
        for name, value in expected["section"].items():
            found = [section[name] for section in told["templates"]]
            fits = value.__eq__ if isinstance(value, bool) else lambda each: value in json.dumps(each)
            self.assertTrue(any(fits(each) is True for each in found), f"{name}: {found}")


def test_of(prelude, shown, expected):
    return lambda self: self.row(prelude, shown, expected)


for _name, *_row in PRELUDES:
    setattr(Conditions, "test_" + "".join(c if c.isalnum() else "_" for c in _name), test_of(*_row))

if __name__ == "__main__":
    harness.main()
