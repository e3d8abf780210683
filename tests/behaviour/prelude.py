"""What a prelude reads, leaves or does is never another run's: the ladder finds the rung that is right."""

import json
import os
import pty
import shutil
import subprocess
import sys
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons

MAIN = "if __name__ == '__main__':\n    "

FORKS = """
import logging, os, posix, random, threading
CALLED = []
from os import register_at_fork
for function, when in ((os.register_at_fork, 'before'), (posix.register_at_fork, 'after_in_child'),
                       (register_at_fork, 'after_in_parent')):
    function(**{when: lambda when=when: CALLED.append(when)})
for wrong in ({}, {'before': 1}, {'after': print}):
    try:
        os.register_at_fork(**wrong)
    except TypeError as error:
        CALLED.append(str(error))
if __name__ == '__main__':
    print(CALLED, os.register_at_fork is posix.register_at_fork, os.register_at_fork, flush=True)
    register_at_fork(after_in_child=lambda: CALLED.append('given in main'))
    state, lock = random.getstate(), logging._lock
    if os.fork():
        os.wait()
    print(CALLED, random.getstate() == state, threading.current_thread() is threading.main_thread(), flush=True)
"""

# name: (prelude, main, rung). The main part prints what a wrong rung would get wrong.
CASES = {
    "nothing": ("import json", "print(json.dumps(1))", "prelude"),
    "prints": ("print('early', flush=True)", "print('late')", "prelude"),
    "prints to fd 2": ("import os; os.write(2, b'early')", "print('late')", "prelude"),
    "has a child print": ("import subprocess; subprocess.run(['echo', 'early'])", "print('late')", "interpreter"),
    "redirects stdout": ("import os; os.dup2(os.open('/dev/null', 1), 1)", "print('late')", "interpreter"),
    "closes stderr": ("import os; os.close(2)", "print('late')", "interpreter"),
    "raises": ("1 / 0", "print('late')", "interpreter"),
    "exits": ("import sys; sys.exit(5)", "print('late')", "interpreter"),
    "reads argv": ("import sys; A = sys.argv[1:]", "print(A)", "interpreter"),
    "counts argv": ("import sys; A = len(sys.argv)", "print(A)", "interpreter"),
    "asks where no frame of ours fits": ("import os\ndef f():\n    try: return f()\n    except RecursionError: return os.isatty(7)\nA = f()",
                                        "print(A)", "interpreter"),
    "reads stdin": ("import sys; A = sys.stdin.read()", "print(A)", "interpreter"),
    "fails to read stdin": ("import sys\ntry: A = sys.stdin.read()\nexcept OSError: A = 'none'", "print(A)", "interpreter"),
    "fails to read fd 0": ("import os\ntry: A = os.read(0, 9)\nexcept OSError: A = 'none'", "print(A)", "interpreter"),
    "fails to ask": ("try: A = input()\nexcept OSError: A = 'none'", "print(A)", "interpreter"),
    "names argv": ("from sys import argv", "print(argv)", "prelude"),
    "names argv as others do": ("import sys\nfrom sys import argv\ndef f(a=argv): return a\nclass C: kept = [argv]",
                                "import pickle; print(type(argv), pickle.dumps(argv), sys.argv is argv is f() is C.kept[0], f())",
                                "prelude"),
    "replaces argv": ("import sys; sys.argv = ['prog', '--fixed']", "print(sys.argv)", "prelude"),
    "names and replaces argv": ("import sys; from sys import argv; sys.argv = ['prog', '--fixed']", "print(sys.argv, argv)", "prelude"),
    "appends argv": ("import sys; A = ['a'] + sys.argv", "print(A)", "interpreter"),
    "copies argv": ("import copy, sys; A = copy.copy(sys.argv)", "print(A, type(A))", "interpreter"),
    "pickles argv": ("import pickle, sys; A = pickle.dumps(sys.argv)", "print(A)", "interpreter"),
    "asks argv for its kind": ("import sys; A = isinstance(sys.argv, list), sys.argv.__class__, type(sys.argv)", "print(A)", "prelude"),
    "reads orig_argv": ("import sys; A = list(sys.orig_argv[1:])", "print(A)", "interpreter"),
    "reads who runs it": ("import sys; A = sys.orig_argv[0]", "print(bool(A))", "prelude"),
    "names orig_argv": ("from sys import orig_argv", "print(orig_argv[1:], type(orig_argv))", "prelude"),
    "replaces orig_argv": ("import sys; sys.orig_argv = ['none']", "print(sys.orig_argv)", "prelude"),
    "seeds random": ("import random; random.seed(42)", "print(random.random())", "interpreter"),
    "sets random's state": ("import random; random.setstate(random.Random(1).getstate())", "print(random.random())",
                            "interpreter"),
    "seeds numpy": ("import numpy; numpy.random.seed(0)", "print(numpy.random.rand())", "interpreter"),
    "imports random": ("import random, numpy.random", "print(random.random() != numpy.random.rand())", "prelude"),
    "opens a file": ("F = open(__file__)", "print(len(F.read()))", "interpreter"),
    "writes a file": ("F = open('made', 'w')", "F.write('x'); F.close(); print(open('made').read())", "interpreter"),
    "makes a directory": ("import os, tempfile; D = tempfile.TemporaryDirectory()", "print(os.path.exists(D.name))",
                          "interpreter"),
    "opens an fd of its own": ("import os; os.fdopen(os.open(__file__, 0)).close()", "print('late')", "prelude"),
    "opens stdout": ("import os; F = os.fdopen(1, 'w', closefd=False)", "print(F.isatty(), file=F, flush=True)", "interpreter"),
    "opens stdin": ("F = open(0, closefd=False)", "print(F.read())", "interpreter"),
    "opens a socket": ("import socket; S = socket.socket()", "print(S.fileno() > 2)", "interpreter"),
    "opens a pipe": ("import os; P = os.pipe()", "os.write(P[1], b'x'); print(os.read(P[0], 9))", "interpreter"),
    "leaves a thread": ("import threading, time\nT = threading.Thread(target=time.sleep, args=(1e4,), daemon=True)\nT.start()",
                        "print(T.is_alive())", "interpreter"),
    "leaves a timer": ("import signal; signal.setitimer(signal.ITIMER_REAL, 0.2)", "signal.pause()", "interpreter"),
    "leaves a child": ("import subprocess; P = subprocess.Popen(['sleep', '0.2'])", "print(P.wait())", "interpreter"),
    "forks": ("import os\nos.register_at_fork(before=lambda: print('before'))\nos.fork() or os._exit(3)\nA = os.wait()[1]",
              "print(A)", "interpreter"),
    "changes the directory": ("import os; os.chdir('/')", "print(os.getcwd())", "interpreter"),
    "changes the umask": ("import os; os.umask(0o70)", "print(os.umask(0))", "interpreter"),
    "changes a limit": ("import resource as r; r.setrlimit(r.RLIMIT_CORE, (0, 0))", "print(r.getrlimit(r.RLIMIT_CORE))", "interpreter"),
    "changes its nice value": ("import os; os.nice(1)", "print(os.nice(0))", "interpreter"),
    "changes its affinity": ("import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])", "print(os.sched_getaffinity(0))",
                             "interpreter"),
    "blocks a signal": ("import signal as s; s.pthread_sigmask(s.SIG_BLOCK, [10])", "print(s.pthread_sigmask(0, []))", "interpreter"),
    "maps shared memory": ("import mmap; M = mmap.mmap(-1, 9)", "M[0] += 1; print(M[0])", "interpreter"),
    "makes a lock for processes": ("import multiprocessing; L = multiprocessing.Lock()", "print(L.acquire(timeout=0.1))", "interpreter"),
    "maps private memory": ("import mmap; M = mmap.mmap(-1, 9, flags=mmap.MAP_PRIVATE)", "M[0] += 1; print(M[0])", "prelude"),
    "sets a variable": ("import os; os.environ['A_VARIABLE'] = 'set'", "os.system('echo $A_VARIABLE')", "prelude"),
    "removes a variable": ("import os; os.environ.pop('TERM')", "os.system('echo ${TERM-none}')", "prelude"),
    "handles a signal": ("import signal; signal.signal(signal.SIGTERM, lambda *_: print('heard'))",
                         "import os; os.kill(os.getpid(), signal.SIGTERM)", "prelude"),
    "registers an exit function": ("import atexit; atexit.register(print, 'bye')", "print('late')", "prelude"),
    "warns": ("A = 1 is 1", "print(A)", "prelude"),
    "threads that forks end": ("import numpy", "print(numpy.ones((300, 300)).dot(numpy.ones((300, 300)))[0, 0])",
                               "prelude"),
}


ARGPARSE = """
import argparse
P = argparse.ArgumentParser()
P.add_argument('name', nargs='*')
P.add_argument('--verbose', help='says more')
"""

# What a prelude asks about terminals: (prelude, the fds that it asks about).
QUESTIONS = {
    "stdout.isatty": ("A = sys.stdout.isatty()", [1]),
    "stdin.isatty": ("A = sys.stdin.isatty()", [0]),
    "stderr.isatty": ("A = sys.__stderr__.isatty()", [2]),
    "buffer.isatty": ("A = sys.stdout.buffer.isatty()", [1]),
    "raw.isatty": ("A = sys.stdout.buffer.raw.isatty()", [1]),
    "all of them": ("A = [f.isatty() for f in (sys.stdin, sys.stdout, sys.stderr)]", [0, 1, 2]),
    "os.isatty": ("A = os.isatty(2)", [2]),
    "posix.isatty": ("import posix; A = posix.isatty(True)", [1]),
    "from os": ("from os import isatty; A = isatty(0)", [0]),
    "a stream over the buffer": ("A = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8', line_buffering=True)\n"
                                 "sys.stdout = A\nA = A.isatty()", [1]),
    "a detached stream": ("sys.stdout = io.TextIOWrapper(sys.stdout.detach()); A = sys.stdout.isatty()", [1]),
    "os.get_terminal_size": ("try: A = os.get_terminal_size()\nexcept OSError: A = 'none'", [1]),
    "of stdin": ("try: A = os.get_terminal_size(0)\nexcept OSError: A = 'none'", [0]),
    "shutil.get_terminal_size": ("import shutil; A = shutil.get_terminal_size()", [1]),
    "os.ttyname": ("try: A = os.ttyname(0)[:4]\nexcept OSError: A = 'none'", [0]),
    "ioctl": ("import fcntl, termios\ntry: A = fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8))\nexcept OSError: A = 'none'", [1]),
    "another fd": ("A = os.isatty(77)", []),
    "nothing": ("A = repr(sys.stdout.buffer.raw).replace('<stdout>', 'stdout')", []),
    "argparse": (ARGPARSE + "A = 1", []),
    "argparse's usage": (ARGPARSE + "A = P.format_usage()", [1]),
}


# What a prelude has made to be removed at its end; D is where.
TEMPORARY = {
    "directory": "T = tempfile.TemporaryDirectory(dir=D)",
    "directory with files": "T = tempfile.TemporaryDirectory(dir=D); open(T.name + '/file', 'w').close()",
    "directory and an exception": "T = tempfile.TemporaryDirectory(dir=D); 1 / 0",
    "file": "T = tempfile.NamedTemporaryFile(dir=D)",
    "file that is held by another": "T = [tempfile.NamedTemporaryFile(dir=D)]; T.append(T)",
}

STREAMS = """
import io, os, sys
HELD = sys.stdout, sys.stdout.buffer
OTHER = io.TextIOWrapper(sys.stderr.buffer)
if __name__ == '__main__':
    for f in (sys.stdin, sys.stdout, sys.stderr, OTHER):
        print(f.line_buffering, f.write_through, f.isatty(), repr(f), repr(f.buffer).split(' at ')[0],
              repr(getattr(f.buffer, 'raw', f.buffer)), type(getattr(f.buffer, 'raw', f.buffer)))
    held = HELD[1] is sys.stdout.buffer or isinstance(HELD[1], io.RawIOBase)
    print(HELD[0] is sys.stdout, held, HELD[1].write(b''), os.isatty, os.get_terminal_size, os.ttyname)
    sys.stdout.flush()
    OTHER.write('wrapped'); os.write(2, b'told\\n')
"""

# What a program can see of functions that quicken watches in its prelude, in the prelude and in main.
FUNCTIONS = """
import inspect, os, pickle, posix, sys, traceback, types
from os import get_terminal_size, getcwd, isatty, read, register_at_fork, write
KEPT = getcwd, get_terminal_size, isatty, read, write, register_at_fork, os.dup2, os.ttyname, os.setsid
def about():
    for each in KEPT:
        print(each, type(each), isinstance(each, types.BuiltinFunctionType), each.__name__, each.__qualname__, each.__module__,
              each.__self__, each.__text_signature__, each.__doc__, pickle.dumps(each), inspect.signature(write),
              each is getattr(os, each.__name__) is getattr(posix, each.__name__))
    for call in (lambda: get_terminal_size(-1), lambda: isatty(), lambda: write(-1, b''), lambda: read(-1, 1), lambda: getcwd(1),
                 lambda: os.dup2(-1, 5, inheritable=False), lambda: os.dup2(fd=1, no=2), lambda: register_at_fork(before=1)):
        try: call()
        except Exception: traceback.print_exc(file=sys.stdout)
about()
print(type(sys.stdout.reconfigure), sys.stdout.reconfigure.__text_signature__)
if __name__ == '__main__':
    about()
    get_terminal_size(-1)
"""

# What every run does before its prelude: (what usercustomize does, what main prints).
CUSTOMIZED = {
    "directory": ("import os, builtins\nbuiltins.A = os.getcwd()", "A"),
    "arguments": ("import sys, builtins\nbuiltins.A = sys.argv[1:]", "A"),
    "name": ("import sys, builtins\nbuiltins.A = sys.argv[0]", "A"),
    "terminal": ("import os, builtins\nbuiltins.A = os.isatty(1)", "A"),
    "random numbers": ("import random\nrandom.seed(7)", "__import__('random').random()"),
    "a file": ("with open('written', 'a') as file: file.write('x')", "open('written').read()"),
}


@harness.each_activation
class Prelude:
    def on_terminal(self, argv, fds, env=None):
        """Standard output (if not the terminal), what the terminal got, errors likewise, exit status."""
        master, slave = pty.openpty()
        with os.fdopen(master, "rb", buffering=0) as terminal:
            termios.tcsetwinsize(slave, (33, 111))
            streams = {name: slave if fd in fds else subprocess.PIPE
                       for fd, name in enumerate(("stdin", "stdout", "stderr"))}
            process = subprocess.Popen(argv, env=self.bed.env(env), cwd=self.bed.work, **streams)
            out, errors = process.communicate(timeout=harness.TIMEOUT)
            os.close(slave)
            shown = b""
            try:
                while part := terminal.read(65536):
                    shown += part
            except OSError:
                pass  # EIO: everything was read and nobody has it open
            return out, shown, errors, process.returncode

    def test_terminals_that_were_asked_about(self):
        """Without one a program is served; with one of those that it asked about it is run plainly."""
        for name, (prelude, asked) in QUESTIONS.items():
            with self.subTest(name):
                script = self.bed.write("script.py", f"import io, os, sys\n{prelude}\n{MAIN}print(A, flush=True)\n")
                self.assert_same([script])
                self.assertEqual("prelude", self.bed.status(script)["rung"])
                for fd in range(3):
                    expected = self.on_terminal([harness.PYTHON, script], [fd])
                    before = self.bed.commands_run(script)
                    self.assertEqual(expected, self.on_terminal(self.bed.quick_argv([script]), [fd]), f"terminal at {fd}")
                    said = self.on_terminal(self.bed.quick_argv([script]), [fd], {"QUICKEN_VERBOSE": "1"})
                    reason = f"the prelude asks whether {('stdin', 'stdout', 'stderr')[fd]} is a terminal, and it is one"
                    self.assertEqual(fd in asked, reason in repr(said), said)
                    self.assert_count(before + (0 if fd in asked else 2), lambda: self.bed.commands_run(script), f"{fd}")

    def test_each_gets_its_rung(self):
        for name, (prelude, main, rung) in CASES.items():
            with self.subTest(prelude=name):
                script = self.bed.write("script.py", f"{prelude}\n{MAIN}{main}\n")
                self.assert_same([script, "one", "two"], stdin=b"input")
                self.assertEqual(rung, self.bed.status(script)["rung"])

    def test_module_that_was_never_compiled(self):
        """The first import of it writes its compiled form, as every first run of a program does."""
        self.bed.write("never_compiled.py", "A = 1\n")
        script = self.bed.write("script.py", f"import never_compiled\n{MAIN}print(never_compiled.A)\n")
        self.bed.quick([script])
        self.assertTrue(os.path.isdir(self.bed.path("__pycache__")))
        self.assertEqual("prelude", self.bed.status(script)["rung"])

    def test_directory_that_was_read(self):
        """Served to clients in the same directory; plainly elsewhere."""
        script = self.bed.write("script.py", f"import os\nD = os.getcwd()\n{MAIN}print(D, os.getcwd())\n")
        self.assert_same([script])
        self.assert_same([script], cwd="/", served=False)
        self.assert_same([script])

    def test_temporary_files(self):
        """One that a template gives up with is removed, once; what is meant to stay does."""
        for place in ("tmp", "cache"):  # what is made in the user's cache does not itself make a prelude unfit
            directory = self.bed.path(place)
            os.mkdir(directory)
            env = {"XDG_CACHE_HOME": self.bed.path("cache")}
            for name, prelude in TEMPORARY.items():
                with self.subTest(name, place=place):
                    script = self.bed.write("script.py", "import atexit, os, tempfile\natexit.register(print, 'bye')\n"
                                                         f"D = {directory!r}\n{prelude}\n{MAIN}print(len(os.listdir(D)))\n")
                    self.assert_same([script], env=env)
                    self.assertEqual("interpreter", self.bed.status(script, env=env)["rung"])
                    self.assertEqual([], os.listdir(directory))

    def test_temporary_files_that_stay(self):
        for prelude in ("tempfile.mkdtemp(dir=D)", "tempfile.NamedTemporaryFile(dir=D, delete=False)", "tempfile.mkstemp(dir=D)"):
            with self.subTest(prelude):
                directory = self.bed.path("stay")
                os.mkdir(directory)
                script = self.bed.write("script.py", f"import tempfile\nD = {directory!r}\nT = {prelude}\n{MAIN}print(len(D))\n")
                self.bed.plain([script])
                self.assertEqual(1, len(os.listdir(directory)))
                self.bed.quick([script])
                self.assertEqual("interpreter", self.bed.status(script)["rung"])
                self.assertGreater(len(os.listdir(directory)), 1)
                shutil.rmtree(directory)

    def test_streams_that_nobody_asked_about(self):
        """They are in main what they are in a plain run, also at a terminal and unbuffered."""
        script = self.bed.write("script.py", STREAMS)
        for version, python in sorted(pythons.pythons().items()):
            quick = self.bed.quick_argv([script], python)
            self.bed.run(quick)
            for unbuffered in (None, "1"):
                env = {"PYTHONUNBUFFERED": unbuffered}
                for fds in ([], [0], [1], [2], [0, 1, 2]):
                    with self.subTest(version, unbuffered=unbuffered, terminals=fds):
                        self.assertEqual(self.on_terminal([python, script], fds, env), self.on_terminal(quick, fds, env))

    def test_functions_for_forks(self):
        """Those that the prelude registers are for the program's own forks, in which they do what they do plainly."""
        script = self.bed.write("script.py", FORKS)
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                result = self.assert_same([script], python=python, plain=[python, script])
                self.assertIn(b"'before', 'after_in_child', 'given in main'] False", result.stdout)
                state = self.bed.ctl("status", "--json", "--python", python, "--file", script).stdout
                self.assertEqual("prelude", json.loads(state)["rung"])

    def test_directory_that_multiprocessing_keeps(self):
        """It is put right, so a program that imports it is served everywhere."""
        script = self.bed.write("script.py", "import multiprocessing.process as p\n" + MAIN + "print(p.ORIGINAL_DIR)\n")
        self.assert_same([script])
        self.assert_same([script], cwd="/")

    def test_name_that_was_read(self):
        script = self.bed.write("script.py", f"import argparse\nP = argparse.ArgumentParser()\n{MAIN}P.parse_args()\n")
        self.assert_same([script, "--help"])
        os.symlink(script, self.bed.path("other"))
        relative = [harness.PYTHON, "script.py", "--help"]
        self.assertEqual(self.bed.run(relative), self.bed.run([harness.QUICKEN, "run", "--file", "script.py", "--help"]))

    def test_variable_that_was_set(self):
        """A default that a client has otherwise is the client's."""
        script = self.bed.write("script.py", "import os\nos.environ.setdefault('A_VARIABLE', 'default')\n"
                                             f"{MAIN}print(os.environ['A_VARIABLE'])\n")
        self.assert_same([script])
        self.assert_same([script], env={"A_VARIABLE": "other"}, served=False)

    def test_functions_that_are_watched(self):
        """They are what they are: objects, types, errors and tracebacks, in the prelude and for who has kept them."""
        script = self.bed.write("script.py", FUNCTIONS)
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                result = self.assert_same([script, "one"], python=python, plain=[python, script, "one"])
                self.assertNotIn(b"<quicken>", result.stdout + result.stderr)
                state = self.bed.ctl("status", "--json", "--python", python, "--file", script).stdout
                self.assertEqual("prelude", json.loads(state)["rung"])

    def test_relative_module_path(self):
        """A module is that of the directory in which the program is run, wherever it was run first."""
        for path in (".", ":/nonexistent", "sub"):
            for options in ("", " -S"):
                with self.subTest(path, options=options):
                    script = self.bed.write("script.py", f"#!{harness.PYTHON}{options}\nimport helper\n{MAIN}print(helper.A)\n", 0o755)
                    for name in "ab":
                        os.makedirs(self.bed.path(name + "/sub"), exist_ok=True)
                        for place in (name, name + "/sub"):
                            self.bed.write(place + "/helper.py", f"A = {place!r}\n")
                    for name in "aba":
                        self.assert_same([script], env={"PYTHONPATH": path}, cwd=self.bed.path(name), served=False)

    def test_package_that_reads_its_arguments(self):
        """It is imported before the module that is run, which has sys.argv[0] from runpy."""
        os.mkdir(self.bed.path("package"))
        self.bed.write("package/__main__.py", f"import package, sys\n{MAIN}print(package.A, package.B, sys.argv, sys.argv is package.B)\n")
        for read, rung in (("sys.argv[0]", "prelude"), ("sys.argv[1:]", "interpreter"), ("sys.argv[1:], sys.argv[0]", "interpreter")):
            with self.subTest(read):
                self.bed.write("package/__init__.py", f"import sys\nA = {read}\nB = sys.argv\n")
                for arguments in (["one"], ["one"], ["two"]):
                    plain = self.bed.run([harness.PYTHON, "-m", "package", *arguments])
                    self.assertEqual(plain, self.bed.run([harness.QUICKEN, "run", "-m", "package", *arguments]))
                state = self.bed.ctl("status", "--json", "-m", "package").stdout
                self.assertEqual(rung, json.loads(state)["rung"])

    def test_before_the_prelude(self):
        """What usercustomize reads counts as what the prelude reads."""
        packages = os.path.join(self.bed.home, ".local", "lib", "python3.11", "site-packages")
        os.makedirs(packages)
        os.mkdir(self.bed.path("other"))
        for name, (does, shown) in CUSTOMIZED.items():
            with self.subTest(name):
                with open(os.path.join(packages, "usercustomize.py"), "w") as file:
                    file.write(does + "\n")
                script = self.bed.write("script.py", f"{MAIN}print({shown}, flush=True)\n")

                def forget():
                    for place in ("written", "other/written"):
                        if os.path.exists(self.bed.path(place)):
                            os.unlink(self.bed.path(place))

                if name == "a file":  # a first run for nothing writes it too
                    self.bed.quick([script])
                for arguments, place in ((["one"], ""), (["two"], ""), (["one"], "other")):
                    self.assert_same([script, *arguments], reset=forget, cwd=self.bed.path(place), served=False)
                relative = [harness.PYTHON, "script.py"]
                forget()
                expected = self.bed.run(relative)
                forget()
                self.assertEqual(expected, self.bed.run([harness.QUICKEN, "run", "--file", "script.py"]))
                if name != "a file":
                    self.assertEqual(self.on_terminal([harness.PYTHON, script], [1]), self.on_terminal(self.bed.quick_argv([script]), [1]))

    def test_many_that_do_not_fit(self):
        """Clients that are rightly refused do not wear the server out."""
        script = self.bed.write("script.py", f"import os\nD = os.getcwd()\n{MAIN}print(D)\n")
        self.assert_same([script])
        for _ in range(15):
            self.assertEqual(b"/\n", self.bed.quick([script], cwd="/").stdout)
        self.assert_served([script])


if __name__ == "__main__":
    harness.main()
