"""What a prelude reads: files, directories and variables, as its template traces them and as its spares hold to them."""

import os
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import template

MAIN = "if __name__ == '__main__':\n    "
CTYPES = "import ctypes\nC = ctypes.CDLL(None)\n"

# How a prelude reads VAR.
READS = {
    "os.environ": "A = os.environ['VAR'] if WARM else None",
    "os.getenv": "A = os.getenv('VAR')",
    "os.getenvb": "A = os.getenvb(b'VAR')",
    "get": "A = os.environ.get('VAR', 'none')",
    "in": "A = 'VAR' in os.environ",
    "not in": "A = 'VAR' not in os.environ",
    "setdefault": "A = os.environ.setdefault('VAR', 'default')",
    "pop": "A = os.environ.pop('VAR', None)",
    "os.environb": "A = os.environb.get(b'VAR')",
    "posix": "import posix; A = posix.environ.get(b'VAR')",
    "from os": "from os import environ, getenv; A = getenv('VAR'), environ.get('VAR')",
    "os.path.expandvars": "A = os.path.expandvars('$VAR')",
    "a name": "from os import environ as e; A = str(e.get('VAR'))",
    "getenv": CTYPES + "C.getenv.restype = ctypes.c_char_p; A = C.getenv(b'VAR')",
    "secure_getenv": CTYPES + "C.secure_getenv.restype = ctypes.c_char_p; A = C.secure_getenv(b'VAR')",
}

# How it reads all of them.
READS_ALL = {
    "iteration": "A = sorted(n for n in os.environ if n in ('VAR', 'OTHER'))",
    "keys": "A = sorted(os.environ.keys() & {'VAR', 'OTHER'})",
    "items": "A = sorted(i for i in os.environ.items() if i[0] in ('VAR', 'OTHER'))",
    "copy": "A = os.environ.copy(); A = A.get('VAR'), A.get('OTHER')",
    "dict": "A = dict(os.environ); A = A.get('VAR'), A.get('OTHER')",
    "environb": "A = dict(os.environb); A = A.get(b'VAR'), A.get(b'OTHER')",
    "posix": "import posix; A = dict(posix.environ); A = A.get(b'VAR'), A.get(b'OTHER')",
    "unpacking": "A = {**os.environ}; A = A.get('VAR'), A.get('OTHER')",
    "repr": "A = [t in repr(os.environ) for t in (\"'VAR': 'one'\", \"'VAR': 'two'\", 'OTHER')]",
    "len": "A = len(os.environ)",
}

# How a prelude asks for a variable by name when it has read all; SHLVL is one that may differ otherwise.
READS_AFTER_ALL = {
    "copy": "B = os.environ.copy(); A = os.environ.get('SHLVL')",
    "dict": "B = dict(os.environ); A = os.getenv('SHLVL')",
    "items": "B = list(os.environ.items()); A = 'SHLVL' in os.environ and os.environ['SHLVL']",
    "the first": "B = list(os.environ); A = os.environ.get(B[0]), os.environ.get('SHLVL')",
    "posix": "import posix; B = dict(posix.environ); A = posix.environ.get(b'SHLVL')",
    "some": "A = [os.environ[n] for n in os.environ if n == 'SHLVL']",
    "whole": "A = dict(os.environ); del A; A = os.environ.get('SHLVL')",
}

# What a prelude does that a run is to do itself, on a file f, and why it is not fit.
DEEDS = {
    "os.chmod('f', 0o644)": "changes files",
    "os.utime('f', (7, 7))": "changes files",
    "os.utime('f')": "changes files",
    "os.chown('f', -1, -1)": "changes files",
    "os.lchown('f', -1, -1)": "changes files",
    "os.setxattr('f', 'user.x', b'1')": "changes files",
    "os.removexattr('f', 'user.x')": "changes files",
    "os.mkfifo('p')": "changes files",
    "os.mknod('n')": "changes files",
    "d = os.open('.', 0); os.chmod('f', 0o644, dir_fd=d); os.close(d)": "changes files",
    "d = os.open('f', 0); os.fchmod(d, 0o644); os.close(d)": "changes files",
    "d = os.open('f', 0); os.utime(d, (7, 7)); os.close(d)": "changes files",
    "C.chmod(b'f', 0o644)": "changes files",
    "C.fclose(ctypes.c_void_p(C.fopen(b'made', b'w')))": "writes .*made",
    "C.close(C.creat(b'f', 0o644))": "writes .*/f'",
    "subprocess.run(['true'])": "runs true",
    "subprocess.check_output(['cat', 'f'], env={})": "runs cat",
    "subprocess.run('true', shell=True)": "runs /bin/sh",
    "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)": "runs true",
    "os.popen('true').read()": "runs /bin/sh",
    "os.spawnlp(os.P_WAIT, 'true', 'true')": "os.fork",
    "open('/proc/self/cmdline').read()": "reads /proc/self/cmdline",
    "os.listdir('/proc/self/fd')": "reads '/proc/self/fd'",
    "os.scandir('/proc/self/fd').close()": "reads '/proc/self/fd'",
    "os.readlink('/proc/self/fd/0')": "reads /proc/self/fd/0",
    "open('/proc/%d/stat' % os.getpid()).close()": "reads /proc/[0-9]+/stat",
    "os.urandom(1)": "draws random numbers",
    "import posix; posix.urandom(1)": "draws random numbers",
    "from os import urandom; urandom(1)": "draws random numbers",
    "import secrets; secrets.token_hex()": "draws random numbers",
    "import uuid; uuid.uuid4()": "draws random numbers",
    "import random; random.SystemRandom().random()": "draws random numbers",
    "import random; R = random.Random()": "makes a generator",
    "import random; R = random.Random().random()": "makes a generator",
    "import random; class_ = type('R', (random.Random,), {}); R = [class_()]": "makes a generator",
    "import numpy.random; R = numpy.random.default_rng()": "draws random numbers",
    "sys.audit('open', 1)": "cannot be traced: open",
}

# What does no harm.
HARMLESS = (
    "import multiprocessing.process, numpy.random, random, secrets, ssl, tempfile, uuid",
    "open('/proc/meminfo').close(); os.listdir('/proc')",
    "import random; R = random.SystemRandom()",
    "import random; R = random.Random(7)",
    "import random, tempfile; R = tempfile._RandomNameSequence(); next(R)",
    "C.close(C.open(b'/proc/self/status', 0))",  # of a library, for itself
    "d = os.open('f', 0); os.fstat(d); os.close(d)",
    "os.path.exists('/proc/self/ns')",
    "import ctypes.util, platform, sqlite3; sqlite3.connect(':memory:').close()",
    "C.close(C.open(b'f', 2))",  # to write, and nothing is
)

# What a prelude asks about HERE, which has the file `f`, the link `l` to it, the directory `d` with the file `g`:
# the files and the entries that are then in the trace.
QUESTIONS = {
    "os.stat(HERE + '/f')": ("f", ""),
    "os.lstat(HERE + '/f')": ("", "f"),
    "os.lstat(HERE + '/l')": ("", "l"),
    "os.stat(HERE + '/l')": ("l", ""),
    "os.access(HERE + '/f', os.R_OK)": ("f", ""),
    "os.readlink(HERE + '/l')": ("", "l"),
    "os.path.lexists(HERE + '/absent')": ("", "absent"),
    "os.path.islink(HERE + '/l')": ("", "l"),
    "os.path.realpath(HERE + '/l')": ("", "l"),
    "os.path.getmtime(HERE + '/f')": ("f", ""),
    "os.path.isdir(HERE + '/d')": ("d", ""),
    "os.path.exists(HERE + '/absent')": ("absent", ""),
    "pathlib.Path(HERE, 'f').is_file()": ("f", ""),
    "pathlib.Path(HERE, 'absent').exists()": ("absent", ""),
    "pathlib.Path(HERE, 'f').stat()": ("f", ""),
    "from os import stat; stat(HERE + '/f')": ("f", ""),
    "import posix; posix.stat(HERE + '/f')": ("f", ""),
    "[e.stat() for e in os.scandir(HERE + '/d')]": ("", "d/g"),
    "d = os.open(HERE + '/d', 0); os.stat('g', dir_fd=d); os.close(d)": ("d d/g", ""),
    "d = os.open(HERE + '/d', 0); os.close(os.open('g', 0, dir_fd=d)); os.close(d)": ("d d/g", ""),
    "d = os.open(HERE + '/d', 0); os.access('absent', 0, dir_fd=d); os.close(d)": ("d d/absent", ""),
    "C.access(os.fsencode(HERE + '/f'), 0)": ("f", ""),
    "C.fclose(ctypes.c_void_p(C.fopen(os.fsencode(HERE + '/f'), b'r')))": ("f", ""),
    "C.close(C.open(os.fsencode(HERE + '/f'), 0))": ("f", ""),
}
QUESTION = """
import ctypes, os, pathlib, sqlite3, subprocess, sys
C = ctypes.CDLL(None)
C.fopen.restype = ctypes.c_void_p
HERE = os.path.dirname(__file__)
try: {}
except OSError: pass
"""

# After the prelude nothing of all this is there.
UNSEEN = """
import os, posix, sys
from os import environ, environb
import importlib.machinery as m
HELD = os.environ['HOME']
os.environ['SET'] = 'in the prelude'
if __name__ == '__main__':
    print(type(os.environ._data), os.environ._data is posix.environ, os.environb._data is posix.environ,
          os.environ is environ, os.environb is environb, os.environ['SET'], environb[b'SET'], environ['VAR'],
          m.SourceFileLoader.path_stats.__module__, m.FileFinder.find_spec.__module__,
          [n for n in dir(__builtins__) if 'quicken' in n], sorted(os.environ))
"""

# How a prelude asks about terminals: the fds.
TERMINALS = {
    "A = 1": [],
    "sys.stdout.isatty()": [1],
    "[f.isatty() for f in (sys.stdin, sys.stdout, sys.stderr)]": [0, 1, 2],
    "os.isatty(2)": [2],
    "io.TextIOWrapper(sys.stdout.buffer).isatty()": [1],
    "import argparse; argparse.ArgumentParser().add_argument('x', help='y')": [],
    "import argparse; argparse.ArgumentParser().format_help()": [1],
    "import getpass, curses, pdb, pty, tty, cmd": [],
}

# And the fd of whose window it asks.
SIZES = {
    "try: os.get_terminal_size()\nexcept OSError: pass": 1,
    "try: os.get_terminal_size(0)\nexcept OSError: pass": 0,
    "shutil.get_terminal_size()": 1,
    "try: fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8))\nexcept OSError: pass": 1,
}

SEES = """
def size(fd):
    try: return tuple(os.get_terminal_size(fd))
    except OSError: return None
with open({told!r}, 'w') as file:
    streams = sys.stdin, sys.stdout, sys.stderr
    file.write(repr(([f.isatty() for f in streams], [f.line_buffering for f in streams], [size(fd) for fd in range(3)])))
"""

BOARD_BLIND = 8  # bytes from the start of control::Board

BLIND = """
import os, sys
sys.dont_write_bytecode = True
sys.path.append(os.path.dirname(__file__) + '/later')
import imported, late
HERE = os.path.dirname(__file__)
try: import optional
except ImportError: optional = None
try: ABSENT = open(HERE + '/absent').read()
except OSError: ABSENT = None
A = [optional and optional.A, ABSENT, os.path.getmtime(HERE + '/read.txt'), open(HERE + '/read.txt').read(),
     sorted(os.listdir(HERE + '/plugins'))]
"""


class Trace_self(harness.Case):
    def setUp(self):
        super().setUp()
        self.bed.environment["QUICKEN_LOG_FILE"] = self.bed.path("log")

    def trace(self, prelude, **options):
        script = self.bed.write("script.py", f"{prelude}\n{MAIN}pass\n")
        return template.trace_of(self.bed, script, **options)

    def assert_other(self, script, env, name):
        """Another template serves it, because of the variable."""
        log = self.bed.path("log")
        with open(log) as file:
            file.seek(0, os.SEEK_END)
            for _run in range(2):  # one that is of no use to a second client is not made again and again
                self.assert_fits(script, env)
            self.assertRegex(file.read(), f"another template: the prelude reads .*{name}, which differs")

    def assert_fits(self, script, env):
        result = self.assert_served([script], env=env)
        self.assertEqual(self.bed.plain([script], env=env), result)

    def test_variables_that_are_read(self):
        """A client that has another value gets what a plain run gives; one that has the same is served."""
        for name, read in READS.items():
            with self.subTest(name):
                script = self.bed.write("script.py", f"import os\nWARM = 'VAR' in os.environ\n{read}\n{MAIN}print(A)\n")
                self.bed.quick([script], env={"VAR": "one"})
                for other in ({}, {"OTHER": "x"}, {"QUICKEN_X": "x"}, {"HOM": "x"}, {"VARX": "x"}):
                    self.assert_fits(script, {"VAR": "one", **other})
                for other in ("two", "on", "onee", "", None):
                    self.assert_other(script, {"VAR": other}, "VAR")
                    self.assert_fits(script, {"VAR": "one"})

    def test_variable_that_is_not_set(self):
        for name, read in READS.items():
            with self.subTest(name):
                script = self.bed.write("script.py", f"import os\nWARM = False\n{read}\n{MAIN}print(A)\n")
                if name == "os.environ":
                    continue
                self.bed.quick([script])
                self.assert_fits(script, {"OTHER": "x"})
                for other in ("", "one"):
                    self.assert_other(script, {"VAR": other}, "VAR")

    def test_all_variables(self):
        for name, read in READS_ALL.items():
            with self.subTest(name):
                script = self.bed.write("script.py", f"import os\n{read}\n{MAIN}print(A)\n")
                self.bed.quick([script], env={"VAR": "one", "SHLVL": "1"})
                passing = {"SHLVL": "2", "_": "/bin/x", "OLDPWD": "/", "WINDOWID": "1"}
                for other in ({}, {"SHLVL": "2"}, passing if name != "len" else {}):
                    self.assert_fits(script, {"VAR": "one", "SHLVL": "1", **other})
                self.assert_other(script, {"VAR": "two", "SHLVL": "1"}, "VAR")
                self.assert_other(script, {"VAR": "one", "SHLVL": "1", "OTHER": "x"}, "OTHER")
                self.assert_other(script, {"SHLVL": "1"}, "VAR")

    def test_level_that_is_read(self):
        """Read by name it counts."""
        script = self.bed.write("script.py", f"import os\nA = os.environ['SHLVL'], len(dict(os.environ))\n{MAIN}print(A)\n")
        self.bed.quick([script], env={"SHLVL": "1"})
        self.assert_fits(script, {"SHLVL": "1"})
        self.assert_other(script, {"SHLVL": "2"}, "SHLVL")

    def test_variables_that_are_read_after_all(self):
        """By name they count, whoever has gone through all before."""
        for name, read in READS_AFTER_ALL.items():
            with self.subTest(name):
                script = self.bed.write("script.py", f"import os\n{read}\n{MAIN}print(A)\n")
                env = {"SHLVL": "1", "WINDOWID": "1"}
                self.bed.quick([script], env=env)
                self.assert_fits(script, {**env, "WINDOWID": "2"})
                self.assert_other(script, {**env, "SHLVL": "2"}, "SHLVL")

    def test_variables_like_quickens(self):
        """Quicken's own are for quicken, unless they are read by name; others of the prefix are the program's."""
        script = self.bed.write("script.py", f"import os\nA = os.environ.get('QUICKEN_MY'), len(os.environ.copy())\n{MAIN}print(A[0])\n")
        self.bed.quick([script], env={"QUICKEN_MY": "1"})
        self.assert_fits(script, {"QUICKEN_MY": "1"})
        self.assert_other(script, {"QUICKEN_MY": "2"}, "QUICKEN_MY")
        before = self.bed.commands_run(script, env={"QUICKEN_MY": "1"})
        verbose = self.bed.quick([script], env={"QUICKEN_MY": "1", "QUICKEN_VERBOSE": "1"})
        self.assertEqual(b"1\n", verbose.stdout)
        self.assert_count(before + 1, lambda: self.bed.commands_run(script, env={"QUICKEN_MY": "1"}), str(verbose))
        named = self.bed.write("named.py", f"import os\nA = os.environ.get('QUICKEN_VERBOSE')\n{MAIN}print(A)\n")
        self.bed.quick([named])
        self.assertEqual(b"1\n", self.bed.quick([named], env={"QUICKEN_VERBOSE": "1"}).stdout)
        self.assertEqual(b"None\n", self.bed.quick([named]).stdout)

    def test_variables_that_do_not_count(self):
        """Read in main alone, or only set."""
        read = self.bed.write("read.py", f"import os\n{MAIN}print(os.environ.get('VAR'), len(os.environ))\n")
        written = self.bed.write("written.py", f"import os\nos.environ['VAR'] = 'mine'\n{MAIN}print(os.environ['VAR'])\n")
        for script in (read, written):
            self.bed.quick([script], env={"VAR": "one"})
            for value in ("one", "two", None):
                self.assert_fits(script, {"VAR": value})

    def test_native_library(self):
        """ncurses asks for TERMINFO in C."""
        script = self.bed.write("script.py", "import curses\ntry: curses.setupterm('dumb', 2); A = 1\n"
                                             f"except curses.error as e: A = e\n{MAIN}print(A)\n")
        self.bed.quick([script])
        self.assert_fits(script, {})
        self.assert_other(script, {"TERMINFO": "/nowhere"}, "TERMINFO")

    def test_rung_of_the_interpreter(self):
        """What the start of the interpreter reads counts there too: the user's site directory is below HOME."""
        script = self.bed.write("script.py", f"import site, sys\nA = sys.argv[1:]\n{MAIN}print(site.USER_SITE)\n")
        self.bed.quick([script])
        self.assertEqual("interpreter", self.bed.status(script)["rung"])
        self.assert_fits(script, {"VAR": "one"})
        self.assert_other(script, {"HOME": self.bed.work}, "HOME")

    def set_blind(self, script):
        """Has the spares look at files themselves, as a supervisor does that cannot watch them."""
        server = f"/proc/{self.bed.server_pid(script)}/fd"
        for fd in os.listdir(server):
            if os.readlink(f"{server}/{fd}").startswith("/memfd:quicken-board"):
                with open(f"{server}/{fd}", "r+b", buffering=0) as board:
                    board.seek(BOARD_BLIND)
                    board.write(b"\1")
                return
        self.fail("the server has no board")

    def test_files_that_nobody_watches(self):
        """A spare that has to look for itself serves until something is another."""
        def add(name, text):
            return lambda: self.bed.write(name, text)
        changes = {
            "edited": add("imported.py", "A = 'edited'\n"),
            "shadowed": add("late.py", "A = 'shadowed'\n"),
            "listed": add("plugins/second", ""),
            "absent": add("absent", "there"),
            "removed": lambda: os.unlink(self.bed.path("optional.py")),
            "touched": lambda: os.utime(self.bed.path("read.txt"), (1, 1)),
        }
        for name, change in changes.items():
            with self.subTest(name):
                for directory in ("later", "plugins"):
                    os.makedirs(self.bed.path(directory), exist_ok=True)
                for file in ("late.py", "plugins/second", "absent"):
                    if os.path.exists(self.bed.path(file)):
                        os.unlink(self.bed.path(file))
                self.bed.write("imported.py", "A = 'first'\n")
                self.bed.write("later/late.py", "A = 'late'\n")
                self.bed.write("optional.py", "A = 'optional'\n")
                self.bed.write("read.txt", "text")
                script = self.bed.write(name + ".py", BLIND + MAIN + "print(*A, imported.A, late.A)\n")
                self.bed.quick([script])
                self.set_blind(script)
                self.bed.write("unrelated", name)
                self.assert_fits(script, {})
                change()
                expected = self.bed.plain([script])
                self.assertEqual(expected, self.bed.quick([script]))

    def test_nothing_is_seen_in_main(self):
        script = self.bed.write("script.py", UNSEEN)
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                self.assert_same([script], python=python, plain=[python, script], env={"VAR": "one"})
                changed = {"VAR": "two"}
                self.assertEqual(self.bed.run([python, script], env=changed), self.bed.quick([script], python, env=changed))

    def test_records_of_variables(self):
        trace = self.trace("import os; os.environ.get('VAR'); os.getenv('UNSET'); os.getenv('LANG')", env={"VAR": "one"})
        self.assertEqual(("one", None), (trace.variables["VAR"], trace.variables["UNSET"]))
        self.assertNotIn("LANG", trace.variables)
        self.assertNotIn("PATH", trace.variables)
        self.assertFalse(trace.everything)
        whole = self.trace("import os; dict(os.environ)", env={"VAR": "one"})
        self.assertTrue(whole.everything)
        self.assertEqual({"VAR", "HOME", "PATH", "TERM"}, whole.variables.keys() & {"VAR", "HOME", "PATH", "TERM", "SHLVL"})

    def test_records_of_files(self):
        for rung in (1, 2):
            read = self.bed.write("read.txt", "text")
            script = self.bed.write("script.py", f"import os\nopen({read!r}).close()\ntry: open('absent')\nexcept OSError: pass\n"
                                                 f"os.stat('/etc/hostname')\n{MAIN}pass\n")
            before = {path: template.identity(path) for path in (read, script, harness.PYTHON, template.HOOK)}
            trace = template.trace_of(self.bed, script, rung=rung)
            if rung == 2:  # the script runs in the command
                del before[read]
            for path, identity in before.items():
                self.assertEqual(identity, trace.files[path], path)
            self.assertEqual(rung == 2, self.bed.path("absent") not in trace.files)
            self.assertIsNone(trace.files.get(self.bed.path("absent")))
            self.assertIsNone(trace.files["/usr/pyvenv.cfg"])
            self.assertTrue(any("/libc.so" in path or "/libc-" in path for path in trace.files), trace.files)
            self.assertTrue(any(path.endswith("/os.py") or "/encodings/" in path for path in trace.files))
            self.assertFalse([path for path in trace.files if path.startswith(("/proc", "/dev", "/sys"))])

    def test_records_of_modules(self):
        os.makedirs(self.bed.path("package/sub"))
        os.mkdir(self.bed.path("space"))
        for name in ("package/__init__.py", "package/sub/__init__.py", "package/one.py", "plain.py", "space/inner.py"):
            self.bed.write(name, "")
        with zipfile.ZipFile(self.bed.path("zipped.zip"), "w") as archive:
            archive.writestr("in_zip.py", "")
        absent = self.bed.path("absent")
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                trace = self.trace(f"""
import importlib, sys
sys.path += [{absent!r}, {self.bed.path('zipped.zip')!r}]
import package.sub, plain, space.inner, in_zip, _ctypes
importlib.import_module('package.one')
for name in ('nowhere', 'package.missing'):
    try: importlib.import_module(name)
    except ImportError: pass
""", python=python)
                for name in ("package/__init__.py", "package/one.py", "package/sub/__init__.py", "plain.py",
                             "space/inner.py", "zipped.zip"):
                    path = self.bed.path(name)
                    self.assertEqual(template.identity(path), trace.files[path])
                self.assertIsNone(trace.files[absent])
                self.assertTrue([path for path in trace.files if "/_ctypes." in path])
                asked, found = trace.directories[self.bed.work]
                self.assertLessEqual({"package", "plain", "space", "nowhere", "importlib"} - {"importlib"}, asked)
                self.assertEqual({"package", "plain.py", "space"}, found & {"package", "plain.py", "space", "zipped.zip"})
                asked, found = trace.directories[self.bed.path("package")]
                self.assertEqual({"__init__", "one", "sub", "missing"}, asked)
                self.assertEqual({"__init__.py", "one.py", "sub"}, found)
                self.assertEqual(({"__init__", "inner"}, {"inner.py"}), trace.directories[self.bed.path("space")])

    def test_records_of_files_that_are_asked_about(self):
        """One that is not there: it may come."""
        absent = self.bed.path("none/absent")
        for question in (f"os.path.exists({absent!r})", f"os.path.isfile({absent!r})", f"os.path.isdir({absent!r})",
                         "os.path.exists('none/absent')", f"__import__('pathlib').Path({absent!r}).exists()"):
            with self.subTest(question):
                trace = self.trace(f"import os\nA = {question}")
                self.assertIsNone(trace.files[absent])

    def make_files(self):
        os.mkdir(self.bed.path("d"))
        for name in ("f", "d/g"):
            self.bed.write(name, "text")
        os.symlink("f", self.bed.path("l"))

    def test_records_of_questions(self):
        """Each is noted at its path, with the identity of what is there; with links not followed where they were not."""
        self.make_files()
        for version, python in sorted(pythons.pythons().items()):
            for question, (files, entries) in QUESTIONS.items():
                with self.subTest(question, python=version):
                    trace = self.trace(QUESTION.format(question), python=python)
                    for names, records, ask in ((files, trace.files, os.stat), (entries, trace.entries, os.lstat)):
                        found = {os.path.relpath(path, self.bed.work) for path in records if path.startswith(self.bed.work + "/")}
                        self.assertLessEqual(set(names.split()), found)
                        for name in names.split():
                            path = self.bed.path(name)
                            self.assertEqual(template.counted(path, ask), records[path])

    def test_records_of_directories_by_descriptor(self):
        self.make_files()
        for call in ("os.listdir(d)", "list(os.scandir(d))", "list(os.fwalk('.', dir_fd=d))"):
            with self.subTest(call):
                trace = self.trace(f"import os\nd = os.open({self.bed.path('d')!r}, 0)\n{call}\nos.close(d)")
                self.assertEqual(({"*"}, {"g"}), trace.directories[self.bed.path("d")])

    def test_what_a_run_is_to_do_itself(self):
        for version, python in sorted(pythons.pythons().items()):
            for deed, reason in DEEDS.items():
                if "numpy" in deed and python != harness.PYTHON:
                    continue
                with self.subTest(deed, python=version):
                    for name in ("p", "n", "made"):
                        if os.path.lexists(self.bed.path(name)):
                            os.unlink(self.bed.path(name))
                    self.bed.write("f", "text")
                    with self.assertRaisesRegex(template.Unfit, reason):
                        self.trace(QUESTION.format(deed), python=python)

    def test_children_that_do_no_harm(self):
        """What they read counts."""
        trace = self.trace("import ctypes.util, platform\nctypes.util.find_library('c')\nplatform.processor()\nplatform.architecture()")
        self.assertEqual(template.identity("/etc/ld.so.cache"), trace.files["/etc/ld.so.cache"])

    def test_what_does_no_harm(self):
        self.bed.write("f", "text")
        for version, python in sorted(pythons.pythons().items()):
            for deed in HARMLESS:
                deed = deed if python == harness.PYTHON else deed.replace(" numpy.random,", "")
                with self.subTest(deed, python=version):
                    self.trace(QUESTION.format(deed), python=python)

    def test_relative_path_that_is_asked_about(self):
        script = self.bed.write("script.py", f"import os\nA = os.path.exists('script.py')\n{MAIN}print(A)\n")
        self.assert_same([script])
        self.assert_same([script], cwd="/", served=False)

    def test_records_of_listed_directories(self):
        os.mkdir(self.bed.path("plugins"))
        for name in ("a.txt", ".hidden"):
            self.bed.write("plugins/" + name, "")
        for call in ("os.listdir('plugins')", "list(os.scandir('plugins'))", "list(os.walk('plugins'))",
                     "__import__('glob').glob('plugins/*.py')", "list(__import__('pathlib').Path('plugins').iterdir())"):
            with self.subTest(call):
                trace = self.trace(f"import os\n{call}")
                self.assertEqual(({"*"}, {"a.txt", ".hidden"}), trace.directories[self.bed.path("plugins")])
        trace = self.trace("import os\ntry: os.listdir('none')\nexcept OSError: pass")
        self.assertEqual(({"*"}, set()), trace.directories[self.bed.path("none")])

    def test_identities_are_those_of_before(self):
        """What the prelude changes after it has read it differs from the record."""
        module = self.bed.write("changing.py", "A = 1\n")
        read = self.bed.write("read.txt", "text")
        with self.assertRaises(template.Unfit) as given_up:
            self.trace(f"import os, changing\nopen({read!r}).read()\nos.utime({module!r}, (1, 1))\nos.utime({read!r}, (1, 1))")
        trace = given_up.exception.trace
        for path in (module, read):
            self.assertNotEqual(template.identity(path), trace.files[path])

    def client_records(self, prelude, **options):
        """{kind: text} of what else was read of the client."""
        others = self.trace("import fcntl, io, os, shutil, sys, termios\n" + prelude, **options).others
        self.assertEqual(len(others), len(dict(others)))
        return {kind: text for kind, text in others if kind <= template.NAME}

    def test_records_of_terminals(self):
        """With the answer that the clients of this template get."""
        for prelude, asked in TERMINALS.items():
            for bits in (0, 1, 2, 6, 7):
                with self.subTest(prelude, terminals=bits):
                    records = self.client_records(prelude, terminal=bits, rows=7, columns=33)
                    expected = "".join(f"{fd}{'ny'[bits >> fd & 1]}" for fd in asked)
                    self.assertEqual(expected, records.get(template.TERMINAL, ""))
                    self.assertLessEqual(records.keys(), {template.TERMINAL, template.SIZE, template.NAME})

    def test_records_of_sizes(self):
        for prelude, fd in SIZES.items():
            for bits in (0, 1, 2, 7):
                with self.subTest(prelude, terminals=bits):
                    records = self.client_records(prelude, terminal=bits, rows=7, columns=33)
                    self.assertEqual("7x33" if bits >> fd & 1 else None, records.get(template.SIZE))
                    self.assertIn(f"{fd}{'ny'[bits >> fd & 1]}", records[template.TERMINAL])

    def test_terminal_that_a_prelude_sees(self):
        """It is one, of that size, and streams are made for it."""
        told = self.bed.path("told")
        for bits in range(8):
            for version, python in sorted(pythons.pythons().items()):
                with self.subTest(terminals=bits, python=version):
                    if os.path.exists(told):  # what is there a run would change
                        os.unlink(told)
                    self.client_records(SEES.format(told=told), terminal=bits, rows=7, columns=33, python=python,
                                        env={"XDG_CACHE_HOME": self.bed.work})
                    with open(told) as file:
                        seen = file.read()
                    is_terminal = [bool(bits >> fd & 1) for fd in range(3)]
                    old = tuple(map(int, version.split(".")[:2])) < (3, 9)
                    buffered = [is_terminal[0], is_terminal[1], is_terminal[2] or not old]
                    sizes = [(33, 7) if each else None for each in is_terminal]
                    self.assertEqual(repr((is_terminal, buffered, sizes)), seen)

    def test_terminal_that_is_a_commands_own(self):
        """Its name, its settings and its process group are no template's."""
        for prelude in ("os.ttyname(1)", "os.tcgetpgrp(1)", "termios.tcgetattr(1)", "termios.tcsetattr(1, 0, termios.tcgetattr(1))",
                        "open('/dev/tty')", "input()", "sys.stdin.read()", "os.read(1, 1)"):
            with self.subTest(prelude):
                caught = f"try: {prelude}\nexcept Exception: pass"
                with self.assertRaises(template.Unfit):
                    self.client_records(caught, terminal=7, rows=7, columns=33)

    def test_readline(self):
        """It asks in C: for the size, which counts, and for settings, which it asks for again."""
        for bits in (0, 7):
            records = self.client_records("import readline", terminal=bits, rows=7, columns=33)
            self.assertEqual("7x33" if bits else None, records.get(template.SIZE))

    def test_record_of_the_directory(self):
        for prelude in ("os.getcwd()", "os.getcwdb()", "os.listdir()", "os.path.abspath('x')", "os.path.exists('x')"):
            with self.subTest(prelude):
                self.assertEqual({template.CWD: os.path.realpath(self.bed.work)}, self.client_records(prelude))
        self.assertEqual({}, self.client_records("os.listdir('/')"))

    def test_record_of_the_name(self):
        self.assertEqual({template.NAME: self.bed.path("script.py")}, self.client_records("sys.argv[0]"))
        self.assertEqual({}, self.client_records("sys.argv"))
        self.bed.write("module.py", f"import sys\nsys.argv[0]\n{MAIN}pass\n")
        trace = template.trace_of(self.bed, "module", what="module")
        self.assertNotIn(template.NAME, dict(trace.others))

    def test_records_of_what_is_printed(self):
        """Standard output is written line by line on a terminal, and standard error always is; C's stdout like the former."""
        c = "import ctypes; C = ctypes.CDLL(None); "
        for prelude, record in (("print('x')", "1"), ("print('x', flush=True)", "1"), ("print('x', file=sys.stderr)", ""),
                                ("os.write(1, b'x')", ""), (c + "C.printf(b'x')", "1"), (c + "C.write(2, b'x', 1)", "2"),
                                ("sys.stdout.buffer.write(b'x')", "1"), ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer); print('x')", "1")):
            for bits in (0, 7):
                with self.subTest(prelude, terminals=bits):
                    records = self.client_records(prelude, terminal=bits, rows=7, columns=33)
                    if bits and record == "2":  # which of its fds is not seen in a terminal
                        record = "1"
                    self.assertEqual(record and record + "ny"[bits & 1], records.get(template.TERMINAL, ""))
        self.assertEqual({}, self.client_records("print('x'); print('y', file=sys.stderr)", env={"PYTHONUNBUFFERED": "1"}))

    def test_what_c_prints_on_a_terminal(self):
        """A terminal takes less at once than a pipe."""
        write = "import ctypes; ctypes.CDLL(None).write(2, b'x' * %d, %d)"
        self.client_records(write % (4000, 4000), terminal=7)
        self.client_records(write % (40000, 40000), terminal=3)
        for size in (5000, 12000, 1000000):
            with self.assertRaisesRegex(template.Unfit, "too much at once"):
                self.client_records(write % (size, size), terminal=7)

    def test_virtual_environment(self):
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                venv = self.bed.path("venv" + version)
                subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True, capture_output=True)
                packages = os.path.join(venv, "lib", "python" + ".".join(version.split(".")[:2]), "site-packages")
                link = os.path.join(packages, "more.pth")
                with open(link, "w") as file:
                    file.write("import os; os.environ.get('READ_BY_PTH')\n")
                trace = self.trace("import json", python=os.path.join(venv, "bin", "python"))
                for path in (os.path.join(venv, "pyvenv.cfg"), link):
                    self.assertEqual(template.identity(path), trace.files[path])
                self.assertEqual("*", *trace.directories[packages][0])
                self.assertIn("READ_BY_PTH", trace.variables)


if __name__ == "__main__":
    harness.main()
