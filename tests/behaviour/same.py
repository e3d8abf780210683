"""One table of small programs, each run plainly and quickened, compared byte for byte.

A case is a line: name, prelude (or None for a program without a main guard), main part, and what differs from
the defaults: stdin, env, arguments, wrapper (a shell's command line around the program), rung. What is compared:
output, errors, exit status, and the files left in its directory. Addresses of objects are masked.

QUICKEN_LAUNCHER, a command line that takes a script and its arguments, measures another launcher with the same
table (then nobody checks that the run was warm).
"""

import concurrent.futures
import os
import queue
import re
import shlex
import shutil
import sys

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
    case("exit 2**31", "import sys", "sys.exit(2**31)"),
    case("exit object", "import sys\nclass X:\n    def __str__(self): return 'as text'", "sys.exit(X())"),
    case("exit object that has no text", "import sys\nclass X:\n    def __str__(self): 1 / 0", "sys.exit(X())"),
    case("exit text without stderr", "import sys", "sys.stderr = None; sys.exit('text')"),
    case("exit with SystemExit's subclass", "class E(SystemExit):\n    code = 5", "raise E"),
    case("flush without a reader", "import time", "time.sleep(0.3); print('x')",
         wrapper=[*BASH, '"$@" | sleep 0; echo ${PIPESTATUS[0]}', "bash"]),
    case("error in __del__ at the end", "class D:\n    def __del__(self): 1 / 0", "d = D()"),
    case("error in __del__ of a cycle at the end", "class D:\n    def __del__(self): 1 / 0", "d = D(); d.d = d; del d"),
    case("import in __del__ at the end", "class D:\n    def __del__(self): import json", "d = D()"),
    case("file left open, told", "F = 1", "F = open(__file__)", env={"PYTHONWARNINGS": "default"}),
    case("output before a traceback", "", "print(1); raise ValueError", wrapper=[*SH, '"$@" >both 2>&1', "sh"]),
    case("output before an exit text", "import sys", "print(1); sys.exit('text')", wrapper=[*SH, '"$@" >both 2>&1', "sh"]),
    case("output before exit functions", "import atexit, os", "atexit.register(os.write, 1, b'last'); print('first')"),
    case("output before an exit function's error", "import atexit", "atexit.register(lambda: 1 / 0); print('first')",
         wrapper=[*SH, '"$@" >both 2>&1', "sh"]),
    case("output before a thread's", "import os, threading, time\ndef f(): time.sleep(0.1); os.write(1, b'last')",
         "threading.Thread(target=f).start(); print('first')"),
    case("threading.excepthook", "import threading\nthreading.excepthook = lambda a: print('hook', a.exc_value)",
         "threading.Thread(target=lambda: 1 / 0).start()"),
    case("threads, then atexit", "import atexit, threading, time\natexit.register(print, 'prelude')\ndef f(): time.sleep(0.1); print('thread')",
         "atexit.register(print, 'main'); threading.Thread(target=f).start(); print('end')"),
    case("weakref.finalize", "import weakref\nclass C: pass\nc = C()\nweakref.finalize(c, print, 'prelude')",
         "d = C(); weakref.finalize(d, print, 'main'); print('end')"),
    case("exit in a thread", "import sys, threading", "threading.Thread(target=sys.exit, args=(3,)).start()"),
    case("faulthandler", "import faulthandler\nfaulthandler.enable()", "faulthandler.dump_traceback()", wrapper=[*SH, '"$@" 2>&1', "sh"]),
    case("traceback of a generator", "def g():\n    yield 1\n    raise ValueError('late')", "print(list(g()))"),
    case("traceback through a library", "import json", "json.loads('{')"),
    case("traceback of a syntax error", "", "compile('a b', 'named', 'exec')"),
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
    case("finalizer that uses what the prelude has made",
         "import threading, logging\nlogging.basicConfig(format='%(message)s', level=logging.INFO)\nlog = logging.getLogger('a')\n"
         "lock = threading.Lock()\nsettings = {'db': {'host': 'x'}}\nclass D:\n    def __del__(self):\n"
         "        with lock: log.info('closing %s', settings['db']['host'])", "d = D()"),
    case("reference to what goes at the end", "import weakref\nclass D: pass",
         "d = D(); r = weakref.ref(d, lambda r: print('gone'))"),
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
    case("left in a frame of an exception", "import gzip\ndef f():\n    out = gzip.GzipFile('left.gz', 'wb', mtime=0)\n    out.write(b'content'); 1 / 0", "f()"),
    case("left in a function and a class", "class D:\n    def __del__(self): print('deleted')\ndef f(): f.d = D()\nclass C: pass", "f(); C.d = D()"),
    case("recursion limit", "import sys\nsys.setrecursionlimit(123)", "print(sys.getrecursionlimit())"),
    case("garbage collector", "import gc\ngc.disable()", "print(gc.isenabled(), gc.get_threshold(), gc.collect() >= 0)"),
    case("signal handler", "import signal\nsignal.signal(signal.SIGUSR1, lambda n, f: print('heard', n))", "signal.raise_signal(10)"),
    case("default of SIGPIPE", "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)", "print('x' * 100000)",
         wrapper=[*BASH, '"$@" | true; echo ${PIPESTATUS[0]}', "bash"]),
    case("pickled bytes", "import pickle\nclass C: pass\ndef f(): pass", "print(pickle.dumps([C, f, C()], 2))"),
    case("import of main", "x = 1", "import __main__; from __main__ import x; print(__main__.__dict__ is globals(), x)"),
    case("run_path", "import runpy", "print(runpy.run_path(__file__)['__name__'])"),
    case("exec of its source", "x = 2", "exec(open(__file__).read(), {'__name__': 'other'}); print(x)"),
    case("reload", "import importlib, json", "print(importlib.reload(json) is json)"),
    case("help", "", "help(len)"),
    case("annotations", "x: int = 1", "print(__annotations__)"),
    case("docstring", "'its text'", "print(__doc__)"),
    case("context variable", "import contextvars\nV = contextvars.ContextVar('v')\nV.set(1)", "print(V.get())"),
    case("thread's locals", "import threading\nL = threading.local()\nL.x = 1", "print(L.x, threading.main_thread().ident == threading.get_ident())"),
    case("warnings filter of the prelude", "import warnings\nwarnings.simplefilter('error')", "warnings.warn('careful')"),
    case("warning that was given", "import warnings\nwarnings.simplefilter('always')\ndef f(): warnings.warn('careful')", "f(); f()"),
    case("captured warnings", "import logging, warnings\nlogging.captureWarnings(True)\nlogging.basicConfig()", "warnings.warn('careful')"),
    case("handler of sys.stderr", "import logging, sys\nL = logging.getLogger()\nL.addHandler(logging.StreamHandler(sys.stderr))", "L.error('loud')",
         wrapper=[*SH, '"$@" >out 2>err', "sh"]),
    case("handler of sys.stdout", "import logging, sys\nL = logging.getLogger()\nL.addHandler(logging.StreamHandler(sys.stdout))", "L.error('loud')",
         wrapper=[*SH, '"$@" >out 2>err', "sh"]),
    case("handler of the default stream", "import logging\nL = logging.getLogger()\nL.addHandler(logging.StreamHandler())", "L.error('loud')"),
    case("handler with a memory", "import logging, logging.handlers, sys\nL = logging.getLogger()\n"
         "L.addHandler(logging.handlers.MemoryHandler(9, target=logging.StreamHandler(sys.stdout)))", "L.error('kept')"),
    case("last resort of logging", "import logging\nL = logging.getLogger('x')", "L.warning('told')", wrapper=[*SH, '"$@" >out 2>err', "sh"]),
    case("log file of the prelude", "import logging\nlogging.basicConfig(filename='log')", "logging.error('kept')"),
    case("redirected in the prelude", "import contextlib, io, sys\nK = io.StringIO()\nR = contextlib.redirect_stdout(K)\nR.__enter__()",
         "print('kept'); R.__exit__(None, None, None); print(repr(K.getvalue()))"),
    case("stdout kept by name", "import sys\nfrom sys import stdout as S\nP = S.write", "P('kept'); S.flush(); print(S is sys.stdout)",
         wrapper=[*SH, '"$@" >out', "sh"]),
    case("stdout made anew", "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='latin-1', errors='replace')", "print('é')",
         wrapper=[*SH, '"$@" >out', "sh"]),
    case("stdout detached", "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='latin-1')", "print('é')"),
    case("stdout reconfigured", "import sys\nsys.stdout.reconfigure(encoding='utf-16', line_buffering=True)", "print('é')"),
    case("a write of more than a block", "import os, sys", "sys.stdout.buffer.write(b'x' * 5000); os.write(2, b'told'); sys.stdout.buffer.write(b'y')",
         wrapper=[*SH, '"$@" >both 2>&1', "sh"]),
    case("a write of less than a block", "import os, sys", "sys.stdout.buffer.write(b'x' * 4000); os.write(2, b'told'); sys.stdout.buffer.write(b'y' * 200)",
         wrapper=[*BASH, '"$@" 2>&1 | cat', "bash"]),
    case("position in a file", "import sys", "print('abc'); sys.stdout.flush(); sys.stdout.seek(1); print(sys.stdout.tell(), sys.stdin.tell())",
         wrapper=[*SH, 'echo input >in; "$@" <in >out', "sh"]),
    case("stdin shared with a child", "import subprocess, sys", "print(sys.stdin.readline()); sys.stdin.seek(sys.stdin.tell()); subprocess.run(['cat'])",
         wrapper=[*SH, 'printf "one\\ntwo\\n" >in; "$@" <in', "sh"]),
    case("stdin seeks", "import sys", "sys.stdin.seek(3); print(sys.stdin.read())", wrapper=[*SH, 'echo 0123456 >in; "$@" <in', "sh"]),
    case("kinds of the streams", "import sys", "print([(repr(f), type(f.buffer), f.seekable(), f.line_buffering, f.newlines, f.errors) for f in (sys.stdin, sys.stdout, sys.stderr)])"),
    case("kinds of unbuffered streams", "import sys", "print([(repr(f), type(f.buffer), f.line_buffering, f.write_through) for f in (sys.stdin, sys.stdout, sys.stderr)])",
         env={"PYTHONUNBUFFERED": "x"}, wrapper=[*SH, '"$@" 2>err | cat', "sh"]),
    case("no breakpoint", "", "breakpoint(); print(1)", env={"PYTHONBREAKPOINT": "0"}),
    case("breakpoint of its own", "import sys\nsys.breakpointhook = lambda: print('hook')", "breakpoint()"),
    case("pdb of an exception", "import pdb, sys", "\n    try: 1 / 0\n    except ZeroDivisionError: pdb.post_mortem()", stdin=b"bt\nq\n"),
    case("recursion in the prelude's function", "import sys\nsys.setrecursionlimit(80)\ndef f(n): return n and f(n - 1)", "print(f(50)); f(100)"),
    case("trace in the prelude", "import sys\nsys.setprofile(lambda *a: None)", "print(sys.getprofile() is not None)"),
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
    case("process pool", "from concurrent.futures import ProcessPoolExecutor\ndef f(x): return x * x", "\n    with ProcessPoolExecutor(2) as p: print(list(p.map(f, range(5))))"),
    case("process with a queue", "import multiprocessing as m\ndef f(q): q.put(m.current_process().name)",
         "\n    q = m.Queue(); p = m.Process(target=f, args=(q,)); p.start(); print(q.get()); p.join(); print(p.exitcode)"),
    case("manager", "import multiprocessing as m", "\n    with m.Manager() as g: l = g.list([1]); l.append(2); print(list(l))"),
    case("shared memory", "from multiprocessing import shared_memory", "s = shared_memory.SharedMemory(create=True, size=9); print(s.size >= 9); s.close(); s.unlink()"),
    case("parent of a process", "import multiprocessing as m", "print(m.parent_process(), m.current_process().name, m.active_children())"),
    case("posix_spawn", "import os", "print(os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', 'echo $0; exit 4'], os.environ), 0)[1])"),
    case("fork in a thread", "import os, threading\ndef f():\n    if os.fork(): print(os.wait()[1])\n    else: os._exit(3)", "t = threading.Thread(target=f); t.start(); t.join()",
         env={"PYTHONWARNINGS": "ignore"}),
    case("asyncio with a thread", "import asyncio, threading\nasync def f():\n    p = await asyncio.create_subprocess_shell('exit 6')\n    return await p.wait()\n",
         "t = threading.Thread(target=lambda: print(asyncio.run(f()))); asyncio.get_event_loop_policy(); t.start(); t.join()"),
    case("asyncio and a signal", "import asyncio, os, signal\nasync def f():\n    e = asyncio.Event(); asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, e.set)\n"
         "    os.kill(os.getpid(), signal.SIGUSR1); await e.wait(); return 'heard'", "print(asyncio.run(f()))"),
    case("alarm", "import signal, time\nsignal.signal(signal.SIGALRM, lambda *a: print('rang'))", "signal.alarm(1); time.sleep(1.5)"),
    case("interrupt of a child", "import subprocess, sys", "print(subprocess.run([sys.executable, '-c', 'raise KeyboardInterrupt'], stderr=-3).returncode)"),
    # What it inherits
    case("environment exactly", "import os", "print(sorted(os.environb.items()), os.environ['BYTES'].encode('utf-8', 'surrogateescape'))",
         env={"EMPTY": "", "BYTES": "\udcff\udc80=", "LINES": "a\nb", "TERM": None}),
    case("environment of a child", "import subprocess", "subprocess.run(['env'])", env={"EMPTY": "", "BYTES": "\udcff"}),
    case("environment of 2 MB", "import os", "print(sum(map(len, os.environ.values())), len(os.environ))",
         env={f"LARGE{i}": "x" * 100000 for i in range(18)}),
    case("environment with a name twice", "import os", "print(os.environ['TWICE']); os.system('env | grep -a TWICE'); os.environ['TWICE'] = '3'; os.system('env | grep -a TWICE')",
         wrapper=[harness.PYTHON, "-c", "import ctypes, sys, os\nE = [k + b'=' + v for k, v in os.environb.items()] + [b'TWICE=1', b'TWICE=2', b'NONAME', b'=x', None]\n"
                  "A = [os.fsencode(a) for a in sys.argv[1:]] + [None]\nctypes.CDLL(None).execve(A[0], (ctypes.c_char_p * len(A))(*A), (ctypes.c_char_p * len(E))(*E))"]),
    case("a variable deleted in main", "import os", "del os.environ['HOME']; os.system('echo ${HOME-none}')"),
    case("time zone of main", "import os, time", "os.environ['TZ'] = 'Asia/Tokyo'; time.tzset(); print(time.tzname)", env={"TZ": "America/Lima"}),
    case("arguments of any bytes", "import os, sys", "print([os.fsencode(a) for a in sys.argv[1:]])", arguments=["\udcff", "\udc80\n", "", "-m", "--", "é" * 1000]),
    case("50,000 arguments", "import sys", "print(len(sys.argv), sys.argv[-1])", arguments=list(map(str, range(50000)))),
    case("a long argument", "import sys", "print(len(sys.argv[1]))", arguments=["x" * 131000]),
    case("errors of the encoding", "", "print('\\udcff')"),
    case("utf-8 mode", "import sys", "print(sys.flags.utf8_mode, sys.stdout.encoding, open(__file__).encoding)", env={"PYTHONUTF8": "1", "LC_ALL": "C"}),
    case("limits of the prelude", "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (99, 999))\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
         "print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE))"),
    case("priority of the prelude", "import os\nos.nice(3)", "print(os.nice(0))"),
    case("affinity of the prelude", "import os\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])", "print(os.sched_getaffinity(0))"),
    case("signals that the prelude blocks", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])", "print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"),
    case("signals that the prelude ignores", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)", "signal.raise_signal(signal.SIGINT); print(signal.getsignal(signal.SIGINT))"),
    case("memory that forks share", "import mmap\nM = mmap.mmap(-1, 10)", "print(M[0]); M[0] += 1"),
    case("values that forks share", "from multiprocessing.sharedctypes import RawValue\nV = RawValue('i')", "print(V.value); V.value += 1"),
    case("locks that forks share", "import multiprocessing\nL = multiprocessing.Lock()", "print(L.acquire(timeout=0.5))"),
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
    def program(self, prelude, main, directory=""):
        text = main + "\n" if prelude is None else f"{prelude}\nif __name__ == '__main__':\n    {main}\n"
        return self.bed.write(os.path.join(directory, "program.py"), text.encode())

    def run_in_place(self, argv, options):
        """The Result, masked, and the files left in a directory of its own."""
        place = os.path.join(options["directory"], "place")
        os.mkdir(place)
        try:
            result = self.bed.run([*options.get("wrapper", ()), *argv], stdin=options.get("stdin", b""),
                                  env=options.get("env"), cwd=place)
            files = {}
            for name in sorted(os.listdir(place)):
                with open(os.path.join(place, name), "rb") as file:
                    files[name] = ADDRESS.sub(b"0x", file.read())
        finally:
            shutil.rmtree(place)
        return result.status, ADDRESS.sub(b"0x", result.stdout), ADDRESS.sub(b"0x", result.stderr), files

    def compare(self, prelude, main, options):
        script = self.program(prelude, main, options["directory"])
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
        """The table, JOBS cases at once, each with a program and a directory that no other one has at the time."""
        directories = queue.SimpleQueue()
        for job in range(harness.JOBS):
            directories.put(self.bed.path(f"job{job}"))
            os.mkdir(self.bed.path(f"job{job}"))

        def run(case):
            directory = directories.get()
            try:
                self.compare(case[1], case[2], dict(case[3], directory=directory))
            finally:
                directories.put(directory)

        with concurrent.futures.ThreadPoolExecutor(harness.JOBS) as pool:
            outcomes = [(case[0], pool.submit(run, case)) for case in CASES]
        for name, outcome in outcomes:
            with self.subTest(case=name):
                outcome.result()

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

    def test_order_of_output(self):
        """A script's output is flushed before its traceback is written, that of a module or an entry is not."""
        self.bed.write("ordered.py", "def main():\n    print('out')\n    raise SystemExit('text')\n"
                                     "if __name__ == '__main__':\n    main()\n")
        code = "import sys; from ordered import main; sys.exit(main())"
        forms = {("--file", "ordered.py"): ["ordered.py"], ("-m", "ordered"): ["-m", "ordered"], ("--entry", "ordered:main"): ["-c", code]}
        env = {"PYTHONPATH": self.bed.work}
        for form, plain in forms.items():
            with self.subTest(form):
                expected = self.bed.run(["sh", "-c", '"$@" 2>&1', "sh", harness.PYTHON, *plain], env=env)
                for _ in range(2):
                    quick = self.bed.run(["sh", "-c", '"$@" 2>&1', "sh", harness.QUICKEN, "run", *form], env=env)
                    self.assertEqual(expected, quick)

    def test_the_table_is_large(self):
        self.assertGreaterEqual(len(CASES), 180)
        self.assertEqual(len(CASES), len({name for name, *_ in CASES}))


if __name__ == "__main__":
    harness.main()
