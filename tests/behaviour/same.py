"""One table of small programs, each run plainly and quickened, compared byte for byte.

A case is a line: name, prelude (or None for a program without a main guard), main part, and what differs from
the defaults: stdin, env, arguments, wrapper (a shell's command line around the program), rung. What is compared:
output, errors, exit status, and the files left in its directory. Addresses of objects are masked.

QUICKEN_LAUNCHER, a command line that takes a script and its arguments, measures another launcher with the same
table (then nobody checks that the run was warm).
"""

import os
import re
import shlex
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

LAUNCHER = shlex.split(os.environ.get("QUICKEN_LAUNCHER", ""))
SH = ["sh", "-c"]
BASH = ["bash", "-c"]


def case(name, prelude, main, **options):
    return name, prelude, main, options


CASES = (
    # How a program ends
    case("returns", "", "pass"),
    case("exit none", "import sys", "sys.exit()"),
    case("exit 0", "import sys", "sys.exit(0)"),
    case("exit 7", "import sys", "sys.exit(7)"),
    case("exit true", "import sys", "sys.exit(True)"),
    case("exit 256", "import sys", "sys.exit(256)"),
    case("exit 300", "import sys", "sys.exit(300)"),
    case("exit -1", "import sys", "sys.exit(-1)"),
    case("exit 2**40", "import sys", "sys.exit(2**40)"),
    case("exit 2**70", "import sys", "sys.exit(2**70)"),
    case("exit text", "import sys", "sys.exit('text')"),
    case("exit list", "import sys", "sys.exit([1, None])"),
    case("exit float", "import sys", "sys.exit(1.5)"),
    case("exit tuple", "import sys", "sys.exit((1, 2))"),
    case("raise SystemExit", "", "raise SystemExit"),
    case("raise SystemExit(3)", "", "raise SystemExit(3)"),
    case("exit with a full stdout", "import sys", "sys.exit('full')", wrapper=[*SH, '"$@" >/dev/full', "sh"]),
    case("exit in atexit", "import atexit, sys", "atexit.register(sys.exit, 4)"),
    case("os._exit", "import os", "os._exit(9)"),
    case("os.abort", "import os", "os.abort()"),
    case("os.execv", "import os", "os.execv('/bin/echo', ['echo', 'executed'])"),
    case("exec of python", "import os, sys", "os.execv(sys.executable, [sys.executable, '-c', 'print(2)'])"),
    case("segmentation fault", "import os, signal", "os.kill(os.getpid(), signal.SIGSEGV)"),
    case("killed by TERM", "import os, signal", "os.kill(os.getpid(), signal.SIGTERM)"),
    case("killed by KILL", "import os, signal", "os.kill(os.getpid(), signal.SIGKILL)"),
    case("killed by a real-time signal", "import os, signal", "os.kill(os.getpid(), signal.SIGRTMIN + 5)"),
    case("KeyboardInterrupt", "", "raise KeyboardInterrupt"),
    case("KeyboardInterrupt subclass", "class K(KeyboardInterrupt): pass", "raise K"),
    case("exception", "", "raise ValueError('wrong')"),
    case("exception in a function", "def f(x):\n    return 1 / x", "f(0)"),
    case("chained exceptions", "", "\n    try: 1 / 0\n    except ZeroDivisionError as e: raise KeyError('k') from e"),
    case("exception group", "import sys", "raise (ExceptionGroup('g', [ValueError(1)]) if sys.version_info > (3, 11) else 1)"),
    case("recursion", "def f(): f()", "f()"),
    case("excepthook", "import sys\nsys.excepthook = lambda *a: print('hook', a[1])", "raise ValueError('v')"),
    case("excepthook that raises", "import sys\nsys.excepthook = lambda *a: 1 / 0", "raise ValueError('v')"),
    case("traceback without stderr", "import sys\n", "sys.stderr = None; raise ValueError"),
    case("exception in the prelude", "1 / 0", "print(1)"),
    case("exit in the prelude", "import sys; sys.exit(3)", "print(1)"),
    case("no guard, exception", None, "def f():\n    raise OSError(2, 'no')\nf()"),
    case("no guard", None, "import sys\nprint(sys.argv)\nsys.exit(2)"),
    case("two guards", "if __name__ == '__main__':\n    print('first')", "print('second')"),
    case("guard the other way round", "if '__main__' == __name__:\n    print('first')", "print('second')"),
    case("guard with else", "x = 1", "print(x)\nelse:\n    print('never')"),
    case("empty program", None, ""),
    # The end of the interpreter
    case("atexit in order", "import atexit\natexit.register(print, 1)", "atexit.register(print, 2); print(0)"),
    case("atexit after an exception", "import atexit", "atexit.register(print, 'bye'); 1 / 0"),
    case("atexit that raises", "import atexit\ndef bad(): 1 / 0", "atexit.register(bad); print(0)"),
    case("threads are joined", "import threading, time\ndef f(): time.sleep(0.1); print('thread')",
         "threading.Thread(target=f).start(); print('main')"),
    case("daemon threads are not", "import threading, time\ndef f():\n    while True: time.sleep(0.01)",
         "threading.Thread(target=f, daemon=True).start(); print('main')"),
    case("exception in a thread", "import threading", "threading.Thread(target=lambda: 1 / 0, name='t').start()"),
    case("executor", "from concurrent.futures import ThreadPoolExecutor",
         "ThreadPoolExecutor().submit(print, 'done')"),
    case("object with __del__", "class D:\n    def __del__(self): print('deleted')", "d = D()"),
    case("cycle with __del__", "class D:\n    def __del__(self): print('deleted')", "d = D(); d.d = d; del d"),
    case("file left open", "", "f = open('left', 'w'); f.write('content')"),
    case("file left open in a function", "def f():\n    g = f.g = open('left', 'w'); g.write('content')", "f()"),
    case("buffered bytes", "import sys", "sys.stdout.buffer.write(b'\\0\\xff')"),
    case("C's stdout", "import ctypes", "ctypes.CDLL(None).printf(b'from C\\n')"),
    case("closed stdout", "import sys", "sys.stdout.close()"),
    case("pipe without a reader", "", "print('x' * 100000)", wrapper=[*BASH, '"$@" | true; echo ${PIPESTATUS[0]}', "bash"]),
    case("full disk", "", "print('x' * 100000)", wrapper=[*SH, '"$@" >/dev/full', "sh"]),
    case("stdout at its end", "import sys", "sys.stdout.write('no newline')"),
    # Its own state
    case("names of main", "", "print(sorted(globals()))"),
    case("main module", "import sys", "print(sys.modules['__main__'].__dict__ is globals(), __spec__, __package__, __cached__)"),
    case("modules", "import sys", "print(sorted(sys.modules))"),
    case("flags", "import sys", "print(sys.flags, sys.warnoptions, sys._xoptions)"),
    case("paths", "import sys", "print(sys.path, sys.prefix, sys.executable)"),
    case("arguments", "import sys", "print(sys.argv, type(sys.argv), getattr(sys, 'orig_argv', 0)[1:])", arguments=["a", "", "é b"]),
    case("stack", "import traceback", "traceback.print_stack()"),
    case("frames", "import sys", "print(sys._getframe().f_back, sys._getframe().f_code.co_name)"),
    case("trace and profile", "import sys, threading", "print(sys.gettrace(), sys.getprofile(), len(threading.enumerate()))"),
    case("pickle", "import pickle\nclass C: pass", "print(type(pickle.loads(pickle.dumps(C()))))"),
    case("inspect", "import inspect\ndef f(): return 1", "print(inspect.getsource(f))"),
    case("warning", "import warnings", "warnings.warn('careful')"),
    case("warning once a place", "import warnings\ndef f(): warnings.warn('careful', DeprecationWarning)", "f(); f()"),
    case("warning as error", "import warnings", "warnings.warn('careful')", env={"PYTHONWARNINGS": "error"}),
    case("resource warning", "", "open(__file__)", env={"PYTHONWARNINGS": "default"}),
    case("logging", "import logging\nlogging.basicConfig(level=10)\nL = logging.getLogger('l')", "L.info('told'); L.error('loud')"),
    case("utf-8 source", "A = 'é'", "print(A, ascii(A))"),
    case("encoding of the streams", "import sys", "print(sys.stdin.encoding, sys.stdout.encoding, sys.stderr.errors)",
         env={"PYTHONIOENCODING": "latin-1:replace"}),
    case("unbuffered", "import sys", "print(sys.stdout.write_through, sys.stdout.line_buffering)", env={"PYTHONUNBUFFERED": "1"}),
    case("optimised", "assert False, 'asserted'", "print(__debug__)", env={"PYTHONOPTIMIZE": "1"}),
    case("C locale", "import locale, os, sys", "print(os.environ.get('LC_CTYPE'), sys.flags.utf8_mode, sys.stdout.errors)",
         env={"LANG": None, "LC_ALL": None}),
    case("POSIX locale, told", "import sys", "print(sys.stdout.encoding, sys.stdout.errors, ascii(sys.argv[1:]))",
         env={"LC_ALL": "POSIX"}, arguments=["é"]),
    case("time zone", "import time", "print(time.tzname, time.localtime(0).tm_hour)", env={"TZ": "Asia/Tokyo"}),
    case("fixed hash", "", "print(hash('text'))", env={"PYTHONHASHSEED": "7"}),
    case("dev mode", "import sys", "print(sys.flags.dev_mode)", env={"PYTHONDEVMODE": "1"}),
    case("development of imports", "import json", "print(json.__spec__.origin, json.__file__)"),
    case("dataclass", "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1", "print(P(), P() == P())"),
    case("enum and typing", "import enum, typing\nclass E(enum.Enum):\n    A = 1", "print(E.A, typing.Optional[int])"),
    case("regular expressions", "import re\nR = re.compile('(a)(b)?')", "print(R.match('a').groups())"),
    case("decimal context", "import decimal\ndecimal.getcontext().prec = 5", "print(decimal.Decimal(1) / 3)"),
    case("locale set in the prelude", "import locale\nlocale.setlocale(locale.LC_ALL, '')", "print(locale.getlocale())"),
    case("recursion limit", "import sys\nsys.setrecursionlimit(123)", "print(sys.getrecursionlimit())"),
    case("garbage collector", "import gc\ngc.disable()", "print(gc.isenabled(), gc.get_threshold(), gc.collect() >= 0)"),
    case("signal handler", "import signal\nsignal.signal(signal.SIGUSR1, lambda n, f: print('heard', n))", "signal.raise_signal(10)"),
    case("default of SIGPIPE", "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)", "print('x' * 100000)",
         wrapper=[*BASH, '"$@" | true; echo ${PIPESTATUS[0]}', "bash"]),
    # Processes of its own
    case("fork", "import os, sys", "\n    p = os.fork()\n    if not p: print('child'); sys.exit(4)\n    print(os.waitpid(p, 0)[1])"),
    case("fork that falls off the end", "import os", "\n    if os.fork(): os.wait(); print('parent')\n    else: print('child')"),
    case("fork and an exception", "import os", "\n    if os.fork(): print(os.wait()[1])\n    else: 1 / 0"),
    case("subprocess", "import subprocess", "print(subprocess.run(['sh', '-c', 'echo out; exit 3'], capture_output=True))"),
    case("subprocess sees the environment", "import subprocess", "subprocess.run('echo $MINE', shell=True)", env={"MINE": "1"}),
    case("os.system", "import os", "print(os.system('exit 5'))"),
    case("os.popen", "import os", "print(os.popen('echo $PPID-').read()[-2:])"),
    case("multiprocessing fork", "import multiprocessing as m\ndef f(x): return x * x",
         "\n    with m.get_context('fork').Pool(2) as p: print(p.map(f, range(5)))"),
    case("multiprocessing spawn", "import multiprocessing as m\ndef f(x): return x * x",
         "\n    with m.get_context('spawn').Pool(2) as p: print(p.map(f, range(5)))"),
    case("multiprocessing forkserver", "import multiprocessing as m\ndef f(x): return x * x",
         "\n    with m.get_context('forkserver').Pool(2) as p: print(p.map(f, range(5)))"),
    case("asyncio", "import asyncio\nasync def f(): await asyncio.sleep(0.01); return 3", "print(asyncio.run(f()))"),
    case("asyncio subprocess", "import asyncio\nasync def f():\n    p = await asyncio.create_subprocess_exec('sh', '-c', 'exit 6')\n    return await p.wait()",
         "print(asyncio.run(f()))"),
    case("children of others", "import os", "\n    try: os.wait()\n    except ChildProcessError as e: print(e)"),
    # What is read
    case("stdin in lines", "import sys", "print([l for l in sys.stdin])", stdin=b"a\nb\r\nc"),
    case("input()", "", "print(input(), input())", stdin=b"one\ntwo\n"),
    case("input() at the end", "", "print(input())"),
    case("stdin in bytes", "import sys", "print(len(sys.stdin.buffer.read()))", stdin=b"\0\xff" * 500000),
    case("pdb", "", "breakpoint(); x = 2; print(x)", stdin=b"n\np x\nc\n"),
    case("code module", "import code", "code.interact(banner='', exitmsg='')", stdin=b"1+1\n"),
    case("getpass without a terminal", "import getpass", "print(getpass.getpass(stream=None) if 0 else 1)"),
    case("closed streams", "import sys", "open('said', 'w').write(repr((sys.stdin, sys.stdout, sys.stderr)))",
         wrapper=[*SH, '"$@" <&- >&- 2>&-', "sh"]),
    case("closed stdin", "import sys, os", "print(sys.stdin, os.open('/dev/null', 0))", wrapper=[*SH, '"$@" <&-', "sh"]),
    case("stdout and stderr in one file", "import sys", "print(1); print(2, file=sys.stderr); print(3)",
         wrapper=[*SH, '"$@" >both 2>&1', "sh"]),
    case("appends", "", "print('more')", wrapper=[*SH, 'echo first >>log; "$@" >>log; "$@" >>log', "sh"]),
    case("nohup", "import signal", "print(signal.getsignal(signal.SIGHUP))", wrapper=["nohup"]),
    case("background job", "import signal", "print(signal.getsignal(2), signal.getsignal(3))", wrapper=[*SH, '"$@" & wait $!', "sh"]),
    case("random differs", "import random, uuid, secrets, tempfile", "print(len({random.random(), uuid.uuid4(), secrets.token_hex()}))"),
)

ADDRESS = re.compile(rb"0x[0-9a-f]{6,}")


@harness.each_activation
class Same:
    def program(self, prelude, main):
        text = main + "\n" if prelude is None else f"{prelude}\nif __name__ == '__main__':\n    {main}\n"
        return self.bed.write("program.py", text.encode())

    def run_in_place(self, argv, options):
        """The Result, masked, and the files left in a directory of its own."""
        place = self.bed.path("place")
        os.mkdir(place)
        try:
            result = self.bed.run([*options.get("wrapper", ()), *argv], stdin=options.get("stdin", b""),
                                  env=options.get("env"), cwd=place)
            files = {}
            for name in sorted(os.listdir(place)):
                with open(os.path.join(place, name), "rb") as file:
                    files[name] = file.read()
        finally:
            shutil.rmtree(place)
        return result.status, ADDRESS.sub(b"0x", result.stdout), ADDRESS.sub(b"0x", result.stderr), files

    def compare(self, prelude, main, options):
        script = self.program(prelude, main)
        arguments = options.get("arguments", ())
        expected = self.run_in_place([harness.PYTHON, script, *arguments], options)
        quick = [*LAUNCHER, script, *arguments] if LAUNCHER else self.bed.quick_argv([script, *arguments])
        self.assertEqual(expected, self.run_in_place(quick, options), "cold")
        before = 0 if LAUNCHER else self.count(script, options.get("env"), None)
        self.assertEqual(expected, self.run_in_place(quick, options), "warm")
        if not LAUNCHER:
            self.assertTrue(harness.wait_until(lambda: self.count(script, options.get("env"), None) > before),
                            "the warm run was not the server's")

    def test_all(self):
        for name, prelude, main, options in CASES:
            with self.subTest(case=name):
                self.compare(prelude, main, options)

    def test_each_run_draws_its_own(self):
        """Nothing that a run draws is what another has drawn, also where the prelude has imported the source."""
        modules = "random, uuid, tempfile, secrets, os, numpy.random"
        draws = ("random.random(), random.SystemRandom().random(), uuid.uuid4(), uuid.uuid1(), secrets.token_hex(), "
                 "os.urandom(9), numpy.random.rand(), numpy.random.default_rng().random(), tempfile.mktemp(), "
                 "next(tempfile._get_candidate_names())")
        script = self.program(f"import {modules}", f"for drawn in {draws}: print(repr(drawn))")
        runs = [self.bed.quick([script]).stdout.splitlines() for _ in range(3)]
        self.assertEqual([10] * 3, [len(run) for run in runs], runs)
        for number, drawn in enumerate(zip(*runs)):
            self.assertEqual(3, len(set(drawn)), f"draw {number}: {drawn}")
        self.assertEqual("prelude", self.bed.status(script)["rung"])

    def test_hashes(self):
        """One secret a template, unless the caller asks for one a run."""
        script = self.program("", "print(hash('text'))")
        self.assertEqual(1, len({self.bed.quick([script]).stdout for _ in range(3)}))
        own = {"PYTHONHASHSEED": "random", "QUICKEN_VERBOSE": "1"}
        runs = [self.bed.quick([script], env=own) for _ in range(3)]
        self.assertEqual(3, len({run.stdout for run in runs}))
        self.assertIn(b"PYTHONHASHSEED=random", runs[0].stderr)

    def test_the_table_is_large(self):
        self.assertGreaterEqual(len(CASES), 100)
        self.assertEqual(len(CASES), len({name for name, *_ in CASES}))


if __name__ == "__main__":
    harness.main()
