"""What a prelude prints, every run prints: the same bytes in the same order, before its own, wherever its streams lead.

One table of small programs. Each is run plainly, and twice quickened, cold and warm, with its streams in each of WAYS,
on terminals, and by every Python that is found.
"""

import os
import pty
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons

MAIN = "if __name__ == '__main__':\n    "
C = "import ctypes, os, sys\nC = ctypes.CDLL(None)\n"
BOTH = "print('main'); print('main to stderr', file=sys.stderr); os.write(1, b'raw\\n'); os.write(2, b'raw to 2\\n')"

# A shell's command line around the program; what it leaves in `out` and `err` counts.
WAYS = {
    "pipes": '"$@"',
    "one pipe": '"$@" 2>&1 | cat',
    "files": '"$@" >out 2>err',
    "one file": '"$@" >out 2>&1',
    "appended": 'echo first >out; "$@" >>out 2>&1',
    "within a file": 'exec 3<>out; echo 0123456789 >&3; "$@" >&3 2>&3',
    "nowhere": '"$@" >/dev/null 2>&1',
}

# name: (prelude, main) or (prelude, main, environment); the rung is the prelude's.
CASES = {
    "print": ("print('early')", BOTH),
    "print and flush": ("print('early', flush=True)", BOTH),
    "a part of a line": ("print('early', end='')", BOTH),
    "an empty line": ("print()", BOTH),
    "a part of a line on stderr": ("print('early', end='', file=sys.stderr)", BOTH),
    "both in turn": ("for i in range(9): print(i, flush=True); print(-i, file=sys.stderr)", BOTH),
    "both, pending": ("for i in range(9): print(i); print(-i, file=sys.stderr)", BOTH),
    "fds in turn with streams": ("print('a', flush=True); os.write(1, b'b\\n'); print('c', file=sys.stderr); os.write(2, b'd\\n')\n"
                                 "os.writev(1, [b'e', b'f']); print('g', flush=True)", BOTH),
    "fds before what is pending": ("print('a'); os.write(1, bytearray(b'b')); os.write(2, memoryview(b'c'))", BOTH),
    "bytes": ("sys.stdout.buffer.write(b'\\0\\xff'); sys.stderr.buffer.write(b'\\x80')", BOTH),
    "bytes and text": ("print('text'); sys.stdout.buffer.write(b'bytes'); print('text')", "sys.stdout.buffer.write(b'more'); " + BOTH),
    "bytes to the raw stream": ("print('text'); sys.stdout.buffer.raw.write(b'raw'); print('text')", BOTH),
    "less than a buffer": ("print('x' * 5000)", "sys.stdout.buffer.write(b'y' * 50); os.write(2, b'told'); print('z' * 4000); os.write(2, b'more')"),
    "a full buffer": ("sys.stdout.buffer.write(b'x' * 4096)", "os.write(2, b'told'); sys.stdout.buffer.write(b'y'); os.write(2, b'more')"),
    "more than a buffer": ("print('x' * 10000); print('early', file=sys.stderr); print('y' * 300)", BOTH),
    "more than a pipe": ("print('x' * 3000000); os.write(1, b'y' * 2000000)", BOTH),
    "10,000 lines": ("for i in range(10000): print('line', i)\nfor i in range(10): print('line', i, file=sys.stderr)", BOTH),
    "emoji": ("print('\\U0001f600 é'); print('\\U0001f600 é', file=sys.stderr)", BOTH),
    "bytes that are no text": ("sys.stdout.reconfigure(errors='surrogateescape'); print('\\udcff é')", BOTH),
    "surrogates that are passed": ("sys.stdout.reconfigure(errors='surrogatepass'); print('\\udcff é')", "print('\\udcfe'); " + BOTH),
    "replaced": ("print('é \\u20ac')", "print('é \\u20ac'); " + BOTH, {"PYTHONIOENCODING": "latin-1:replace"}),
    "unbuffered": ("print('a', 'b'); print('c', file=sys.stderr); sys.stdout.buffer.write(b'd')", BOTH, {"PYTHONUNBUFFERED": "1"}),
    "reconfigured": ("sys.stdout.reconfigure(line_buffering=True); print('a\\nb', end=''); print('c', file=sys.stderr)", BOTH),
    "reconfigured to write through": ("sys.stdout.reconfigure(write_through=True); print('a', end='')", BOTH),
    "other newlines": ("sys.stdout.reconfigure(newline='\\r\\n'); print('a'); sys.stdout.flush()", BOTH),
    "other newlines, pending": ("sys.stdout.reconfigure(newline='\\r\\n'); print('a\\nb')", BOTH),
    "old newlines, pending": ("sys.stdout.reconfigure(newline='\\r'); print('a\\nb')", BOTH),
    "other newlines, unbuffered": ("sys.stdout.reconfigure(newline='\\r\\n')", BOTH, {"PYTHONUNBUFFERED": "1"}),
    "wrapped": ("import io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='latin-1', errors='replace')\nprint('é \\u20ac')", BOTH),
    "wrapped with other newlines": ("import io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8', newline='\\r\\n', line_buffering=True)\n"
                                    "print('a\\nb', end='')", "print(); print('c', end=''); os.write(1, b'raw')"),
    "wrapped twice": ("import io\nprint('first')\nsys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer.raw), encoding='utf-8')\nprint('second')",
                      "sys.stdout.flush(); " + BOTH),
    "detached": ("import io\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')\nprint('early')", BOTH),
    "a codec's writer": ("import codecs\nsys.stdout = codecs.getwriter('utf-8')(sys.stdout.buffer)\nprint('é', 'early')", BOTH),
    "an object": ("class Upper:\n    def __init__(self, to): self.to = to\n    def write(self, text): return self.to.write(text.upper())\n"
                  "    def flush(self): self.to.flush()\nsys.stdout, sys.stderr = Upper(sys.stdout), Upper(sys.stderr)\n"
                  "print('early'); print('early', file=sys.stderr)", BOTH),
    "kept in memory": ("import contextlib, io\nK = io.StringIO()\nwith contextlib.redirect_stdout(K): print('kept')\nprint('early')", "print(K.getvalue()); " + BOTH),
    "warnings": ("import warnings\nwarnings.warn('careful')", BOTH),
    "a warning of the compiler": ("A = 1 is 1", BOTH),
    "logging": ("import logging\nlogging.warning('early')\nL = logging.getLogger('l')\nL.error('loud')", "L.error('late'); " + BOTH),
    "logging to stdout": ("import logging\nlogging.basicConfig(stream=sys.stdout, level=10)\nlogging.debug('early')", "logging.info('late'); " + BOTH),
    "a traceback": ("import traceback\ntry: 1 / 0\nexcept ZeroDivisionError: traceback.print_exc()", BOTH),
    "C's stdout, pending": (C + "C.printf(b'from C\\n')", BOTH),
    "C's stdout": (C + "C.printf(b'from C\\n'); C.fflush(None); print('early', flush=True); C.printf(b'again\\n'); C.fflush(None)", BOTH),
    "C's puts": (C + "print('a', flush=True); C.puts(b'b'); print('c'); os.write(2, b'd')", "C.puts(b'e'); " + BOTH),
    "C's write": (C + "print('a', flush=True); C.write(1, b'b', 1); os.write(1, b'c'); C.write(2, b'd', 1); print('e', file=sys.stderr)", BOTH),
    "a duplicate": ("F = os.dup(1); os.write(F, b'early'); os.close(F)", BOTH),
    "redirected meanwhile": ("S, N = os.dup(1), os.open('/dev/null', os.O_WRONLY)\nos.dup2(N, 1); print('hidden', flush=True); os.dup2(S, 1)\n"
                             "os.close(S); os.close(N); print('early')", BOTH),
    "stderr as stdout": ("S = os.dup(1)\nos.dup2(2, 1); print('early', flush=True); os.dup2(S, 1)\nos.close(S)", BOTH),
    "stdout as stderr": ("sys.stderr = sys.stdout; print('early', file=sys.stderr)", BOTH),
    "stdout closed": ("print('early'); sys.stdout.close(); sys.stdout = sys.__stderr__", "print('main')"),
    "nothing in main": ("print('early')", "pass"),
    "an exception in main": ("print('early')", "raise ValueError('late')"),
    "os._exit in main": ("print('pending'); print('told', file=sys.stderr)", "os._exit(3)"),
    "fork in main": ("print('pending')", "\n    if os.fork(): os.wait()"),
    "fork in main with C's stdout": (C + "C.printf(b'pending\\n')", "\n    if os.fork(): os.wait()"),
    "exec in main": ("print('pending'); sys.stderr.write('pending')", "os.execv('/bin/echo', ['echo', 'executed'])"),
    "a position": ("print('early')", "sys.stdout.flush(); print(sys.stdout.seekable() and sys.stdout.tell())"),
    "a position, unbuffered": ("print('early')", "print(sys.stdout.seekable() and sys.stdout.tell())", {"PYTHONUNBUFFERED": "1"}),
    "a child in main": ("print('early')", "\n    import subprocess\n    subprocess.run(['echo', 'child']); print('main')"),
    "exit function": ("import atexit\natexit.register(print, 'bye'); print('early')", BOTH),
    "after_fork": ("print('early', flush=True)\n"
                   f"sys.path.append({os.path.join(harness.PREFIX, 'share', 'quicken', 'python')!r})\nimport quicken\n"
                   "quicken.after_fork(lambda: print('hook', flush=True))", BOTH),
}

# Served or not, all is as in a plain run. name: (prelude, main)
UNFIT = {
    "both from C": (C + "C.write(1, b'a', 1); C.write(2, b'b', 1); print('c', flush=True)", BOTH),
    "a million bytes from C": (C + "C.write(1, b'x' * 1000000, 1000000)", BOTH),
    "more than a pipe from C": (C + "A = C.write(1, b'x' * 2000000, 2000000)", "print(A)"),
    "17 MB": ("print('x' * (17 << 20), flush=True)", BOTH),
    "a mark of the order of bytes": ("print('early')", BOTH, {"PYTHONIOENCODING": "utf-16"}),
    "a child": ("import subprocess\nsubprocess.run(['sh', '-c', 'echo out; echo err >&2'])", BOTH),
    "stdout redirected": ("os.dup2(os.open('made', os.O_WRONLY | os.O_CREAT), 1)", BOTH),
    "argv": ("print(sys.argv[1:])", BOTH),
    "no guard": ("print('early')\nsys.exit(3)", BOTH),
}

# Where the prelude's print would have failed, or been another's.
FAILING = {
    "closed": '"$@" >&-',
    "both closed": '"$@" >&- 2>&-',
    "full": '"$@" >/dev/full',
    "full for errors": '"$@" 2>/dev/full',
    "without a reader": '{ sleep 0.2; "$@"; } | true; echo ${PIPESTATUS[0]}',
    "only for reading": '"$@" 1</dev/null',
}


class Replay(harness.Case):
    def script(self, prelude, main, name="script.py"):
        return self.bed.write(name, f"import os, sys\n{prelude}\n{MAIN}{main}\n".encode())

    def outcome(self, argv, way, env=None):
        """The Result and what is in the files."""
        for name in ("out", "err", "made"):
            if os.path.exists(self.bed.path(name)):
                os.unlink(self.bed.path(name))
        result = self.bed.run(["bash", "-c", way, "bash", *argv], env=env)
        files = {}
        for name in ("out", "err", "made"):
            if os.path.exists(self.bed.path(name)):
                with open(self.bed.path(name), "rb") as file:
                    files[name] = file.read()
        return result, files

    def compare(self, script, ways, env=None, python=harness.PYTHON, served=True):
        quick = self.bed.quick_argv([script], python if python != harness.PYTHON else None)
        for what, way in ways.items():
            with self.subTest(way=what):
                expected = self.outcome([python, script, "one"], way, env)
                self.assertEqual(expected, self.outcome([*quick, "one"], way, env), "cold")
                before = self.count(script, env, python if python != harness.PYTHON else None)
                self.assertEqual(expected, self.outcome([*quick, "one"], way, env), "warm")
                if served:
                    self.assert_count(before + 1, lambda: self.count(script, env, python if python != harness.PYTHON else None),
                                      "not the server's")

    def test_each(self):
        """In every way, from the prelude's rung."""
        for name, (prelude, main, *env) in CASES.items():
            with self.subTest(case=name):
                script = self.script(prelude, main)
                self.compare(script, WAYS, *env)
                self.assertEqual("prelude", self.bed.status(script, env=env[0] if env else None)["rung"])

    def test_unfit(self):
        for name, (prelude, main, *env) in UNFIT.items():
            with self.subTest(case=name):
                script = self.script(prelude, main)
                self.compare(script, WAYS, *env, served=name != "no guard")
                self.assertNotEqual("prelude", self.bed.status(script, env=env[0] if env else None)["rung"])

    def test_each_python(self):
        for version, python in sorted(pythons.pythons().items()):
            for name, (prelude, main, *env) in CASES.items():
                if python != harness.PYTHON and name != "a warning of the compiler":  # 3.8 gives it with another line
                    with self.subTest(name, python=version):
                        self.compare(self.script(prelude, main), {"appended": WAYS["appended"]}, *env, python=python)

    def test_streams_that_fail(self):
        for prelude in ("print('early')", "print('early', flush=True)", "os.write(1, b'early')", "print('early', file=sys.stderr)",
                        C + "C.puts(b'early')", C + "C.puts(b'early'); C.fflush(None)", "pass"):
            with self.subTest(prelude):
                self.compare(self.script(prelude, BOTH), FAILING, served=False)

    def test_pipe_that_does_not_block(self):
        script = self.script("print('x' * 200000, flush=True)", "pass")
        found = []
        for argv in ([harness.PYTHON, script], self.bed.quick_argv([script]), self.bed.quick_argv([script])):
            source, target = os.pipe2(os.O_NONBLOCK)
            process = subprocess.Popen(argv, stdout=target, stderr=subprocess.PIPE, env=self.bed.env(), cwd=self.bed.work)
            os.close(target)
            found.append((process.communicate(timeout=harness.TIMEOUT)[1], process.returncode))
            os.close(source)
        self.assertIn(b"BlockingIOError", found[0][0])
        self.assertEqual([found[0]] * 2, found[1:])

    def test_reader_that_is_slow(self):
        """More than a pipe holds waits for its reader, as in a plain run."""
        script = self.script("sys.stdout.write('x' * 300000); sys.stdout.flush()", "print('main')")
        self.bed.quick([script])
        process = self.bed.start([script])
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.3)
        self.assertEqual((b"x" * 300000 + b"main\n", b""), process.communicate(timeout=harness.TIMEOUT))

    def test_interrupt(self):
        """Ctrl-C while it is written ends it."""
        script = self.script("sys.stdout.write('x' * 300000); sys.stdout.flush()", "print('main')")
        self.bed.quick([script])
        process = self.bed.start([script])
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(2)
        out, errors = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(-2, process.returncode)
        self.assertNotIn(b"main", out)
        self.assertIn(b"KeyboardInterrupt", errors)
        self.assertNotIn(b"quicken", errors)

    def test_before_the_prelude(self):
        """What a .pth file prints, on both rungs."""
        packages = os.path.join(self.bed.home, ".local", "lib", "python3.11", "site-packages")
        os.makedirs(packages)
        with open(os.path.join(packages, "prints.pth"), "w") as file:
            file.write("import sys; print('pth'); print('pth to stderr', file=sys.stderr)\n")
        for rung, prelude in (("prelude", "print('early')"), ("interpreter", "A = sys.argv[1:]; print(A)")):
            with self.subTest(rung):
                script = self.script(prelude, BOTH)
                self.compare(script, WAYS)
                self.assertEqual(rung, self.bed.status(script)["rung"])

    def test_count(self):
        """What has been printed is known at any time in the prelude, what is in a buffer too, and counting changes nothing."""
        counts = self.bed.path("counts")
        prelude = f"""
count = type(sys.stdout.buffer.raw).write.__globals__['printed']
counts = [count()]
for step in (lambda: print('abc'), lambda: sys.stdout.buffer.write(b'de'), lambda: print('é', end='', file=sys.stderr),
             lambda: os.write(1, b'fg'), lambda: sys.stdout.flush(), lambda: None, lambda: print('h', file=sys.stderr)):
    step()
    counts.append(count())
open({counts!r}, 'w').write(repr(counts))
"""
        script = self.script(prelude, "pass")
        result = self.bed.quick([script], env={"XDG_CACHE_HOME": self.bed.work})
        self.assertEqual((0, b"fgdeabc\n", "éh\n".encode()), result)
        with open(counts) as file:
            self.assertEqual("[0, 4, 6, 8, 10, 10, 10, 12]", file.read())

    def on_terminal(self, argv, fds):
        """Standard output (if not the terminal), what the terminal got, errors likewise, exit status."""
        master, slave = pty.openpty()
        with os.fdopen(master, "rb", buffering=0) as terminal:
            streams = {name: slave if fd in fds else subprocess.PIPE
                       for fd, name in enumerate(("stdin", "stdout", "stderr"))}
            process = subprocess.Popen(argv, env=self.bed.env(), cwd=self.bed.work, **streams)
            out, errors = process.communicate(timeout=harness.TIMEOUT)
            os.close(slave)
            shown = b""
            try:
                while part := terminal.read(65536):
                    shown += part
            except OSError:
                pass  # EIO: everything was read and nobody has it open
            return out, shown, errors, process.returncode

    def test_what_streams_are_told(self):
        """It stays, whatever the first client's streams were and those of the others are."""
        main = "print([(f.line_buffering, f.write_through, f.isatty()) for f in (sys.stdin, sys.stdout, sys.stderr)])"
        for told in ("line_buffering=True", "line_buffering=False", "line_buffering=None", "newline='\\r\\n'", "write_through=True",
                     "encoding='latin-1', line_buffering=True"):
            script = self.script(f"for f in (sys.stdin, sys.stdout, sys.stderr): f.reconfigure({told})", main)
            plain, quick = [harness.PYTHON, script], self.bed.quick_argv([script])
            for fds in ([0, 1, 2], [], [1], [], [0], [2], []):
                with self.subTest(told, terminals=fds):
                    self.assertEqual(self.on_terminal(plain, fds), self.on_terminal(quick, fds))
            with self.subTest(told):
                self.compare(script, WAYS)
                self.assertEqual("prelude", self.bed.status(script)["rung"])

    def test_terminals(self):
        for name, (prelude, main, *env) in CASES.items():
            if env or name in ("more than a buffer", "more than a pipe", "10,000 lines"):
                continue
            with self.subTest(case=name):
                script = self.script(prelude, main)
                quick = self.bed.quick_argv([script])
                self.bed.run(quick)
                for fds in ([1], [2], [0, 1, 2]):
                    with self.subTest(terminals=fds):
                        expected = self.on_terminal([harness.PYTHON, script], fds)
                        for _ in range(2):
                            self.assertEqual(expected, self.on_terminal(quick, fds))
                expected = self.bed.on_own_terminal([harness.PYTHON, script])
                for _ in range(2):
                    self.assertEqual(expected, self.bed.on_own_terminal(quick))


if __name__ == "__main__":
    harness.main()
