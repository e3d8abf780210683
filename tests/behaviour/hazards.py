"""What a fork would break, or a prelude would share with every command: each has its remedy.

Equal output alone would prove little, as a program that is run plainly is always equal: with each case stands the
rung that must have been reached, and for the lower one what the server must give as its reason.
"""

import concurrent.futures
import contextlib
import http.server
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons

JOBS = max(2, harness.JOBS)  # cases at once
MAIN = "if __name__ == '__main__':\n    "
SERVED = ""  # instead of a reason: the prelude is served

# A thread of which Python knows nothing, as those of polars or pyarrow.
NATIVE_THREAD = """
import ctypes, os
C, T = ctypes.CDLL(None), ctypes.c_ulong()
C.pthread_create(ctypes.byref(T), None, C.pause, None)
"""
# GNU OpenMP: its threads wait for the next parallel region. In a fork they are gone, and that region never ends.
OPENMP = """
import ctypes
C, G = ctypes.CDLL(None), ctypes.CDLL('libgomp.so.1')
def region():
    G.GOMP_parallel(C.labs, None, 3, 0)
    return 'done'
"""
MATRIX = "numpy.ones((300, 300)).dot(numpy.ones((300, 300)))[0, 0]"
KMEANS = "KMeans(2, n_init=1, random_state=0).fit(numpy.arange(4000.).reshape(2000, 2)).labels_[[0, -1]].tolist()"
# RandomState(0), as KMeans makes one, draws a seed before it takes the one given.
NEAREST = "from sklearn.metrics import pairwise_distances_argmin as n\nX = numpy.arange(4000.).reshape(2000, 2)\nA = n(X, X[:9]).sum()"
SKLEARN = "import numpy\nfrom sklearn.cluster import KMeans"
GRPC = """
import grpc, concurrent.futures
class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request * 2)
def call():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    with grpc.insecure_channel('127.0.0.1:%d' % port) as channel:
        answer = channel.unary_unary('/echo/echo')(b'x', timeout=20)
    server.stop(None)
    return answer
"""

# name: (prelude, main, reason). The main part does what a fork would break.
FORKS = {
    "native thread": (NATIVE_THREAD, "print(len(os.listdir('/proc/self/task')))", "threads that a fork would lose"),
    "native thread that has ended": ("import ctypes\nC, T = ctypes.CDLL(None), ctypes.c_ulong()\n"
                                     "C.pthread_create(ctypes.byref(T), None, C.getpid, None); C.pthread_join(T, None)",
                                     "print('late')", SERVED),
    "OpenBLAS": ("import numpy", f"print({MATRIX})", SERVED),
    "OpenBLAS that has computed": (f"import numpy; A = {MATRIX}", f"print(A, {MATRIX})", SERVED),
    "numexpr": ("import numexpr, numpy; A = numpy.arange(1e6)",
                "print(numexpr.evaluate('A * 2 + A').sum())",
                SERVED),
    "numexpr that has computed": ("import os, numexpr, numpy; A = numpy.arange(1e6); B = numexpr.evaluate('A + 1')",
                                  "print(B.sum(), numexpr.evaluate('A * 2 + A').sum(), len(os.listdir('/proc/self/task')))", SERVED),
    "pandas": ("import pandas; T = pandas.DataFrame({'x': range(300_000)})", "print((T.x * 2 + T.x).sum())", SERVED),
    "libgomp": (OPENMP, "print(region())", SERVED),
    "libgomp that has computed": (OPENMP + "region()", "print(region())", "threads that a fork would lose: of libgomp"),
    "scikit-learn": (SKLEARN, f"print({KMEANS})", SERVED),
    "scikit-learn that has computed": (f"{SKLEARN}\n{NEAREST}", f"print(A, {KMEANS})", "threads that a fork would lose"),
    "gRPC": (GRPC, "print(call())", SERVED),
    "gRPC with a channel": (GRPC + "C = grpc.insecure_channel('127.0.0.1:9'); C.subscribe(lambda state: None)",
                            "print(call()); C.close()", "leaves"),
    "executor": ("import concurrent.futures; E = concurrent.futures.ThreadPoolExecutor(1)",
                 "print(E.submit(int, '7').result())", SERVED),
    "executor that has worked": ("import concurrent.futures; E = concurrent.futures.ThreadPoolExecutor(1); E.submit(int).result()",
                                 "print(E.submit(int, '7').result())", "a running thread"),
    "listening socket": ("import socket; S = socket.socket(socket.AF_UNIX); S.bind(b'\\0%d' % id(S)); S.listen()",
                         "print(S.getsockname() != b'')", "socket.bind"),
    "socket that listens at once": ("import socket; S = socket.socket(); S.listen()", "print(S.getsockname()[0])",
                                    "a listening socket"),
    "connected socket": ("import socket; A, B = socket.socketpair()", "A.send(b'x'); print(B.recv(9))", "a connected socket"),
    "socket that is closed again": ("import socket\nwith socket.socket() as S: S.bind(('127.0.0.1', 0))", "print(S.fileno())",
                                    SERVED),
    "open database": ("import sqlite3; D = sqlite3.connect('my.db'); D.execute('create table if not exists t (a)')",
                      "D.execute('insert into t values (1)'); D.commit(); print(D.execute('select count(*) > 0 from t').fetchall())",
                      "writes|changes files|my.db"),
    "database in memory": ("import sqlite3; D = sqlite3.connect(':memory:'); D.execute('create table t (a)')",
                           "D.execute('insert into t values (1)'); print(D.execute('select * from t').fetchall())", SERVED),
    "asyncio's loop": ("import asyncio; L = asyncio.new_event_loop()",
                       "print(L.run_until_complete(asyncio.sleep(0.01, 'slept'))); L.close()", "epoll"),
    "asyncio's loop that is closed": ("import asyncio; A = asyncio.run(asyncio.sleep(0, 'slept'))",
                                      "print(A, asyncio.run(asyncio.sleep(0.01, 'again')))", SERVED),
    "epoll": ("import select; E = select.epoll()", "print(E.poll(0))", "epoll"),
    "resource tracker": ("import multiprocessing.resource_tracker as r; r.ensure_running()",
                         "print(r._resource_tracker._check_alive())", "leaves"),
    "shared memory": ("from multiprocessing.shared_memory import SharedMemory; M = SharedMemory(create=True, size=9)",
                      "M.buf[0] += 1; print(M.buf[0]); M.close(); M.unlink()", "leaves|os.truncate"),
    "pool in main": ("import multiprocessing, multiprocessing.pool",
                     "\n    with multiprocessing.Pool(2) as P: print(P.map(abs, [-1, 2]))", SERVED),
    "finalizer of multiprocessing": ("import multiprocessing.util as u; u.Finalize(None, print, ('ended',), exitpriority=1)",
                                     "print('late')", SERVED),
    "GLib": ("from gi.repository import Gio, GLib", "L = GLib.MainLoop(); GLib.idle_add(L.quit); L.run(); print('ran')", SERVED),
    "device": ("import os; F = os.open('/dev/ptmx', os.O_RDONLY | os.O_NOCTTY)", "print(os.isatty(F))", "leaves /dev/.*ptmx open"),
    "stateless devices": ("N = [open('/dev/' + n, 'rb') for n in ('null', 'zero', 'random', 'urandom', 'full')]",
                          "print([len(n.read(1)) for n in N])", SERVED),
    "mapped device": ("import mmap\nwith open('/dev/zero', 'r+b') as F: M = mmap.mmap(F.fileno(), 4096)",
                      "M[0] += 1; print(M[0])", "writes|memory that all commands would share"),
    "inotify": ("import ctypes; I = ctypes.CDLL(None).inotify_init()", "print(I)", "inotify"),
    "eventfd": ("import ctypes; I = ctypes.CDLL(None).eventfd(0, 0)", "print(I)", "eventfd"),
    "timerfd": ("import ctypes; I = ctypes.CDLL(None).timerfd_create(1, 0)", "print(I)", "timerfd"),
    "locked file": ("import fcntl; F = open(__file__); fcntl.flock(F, fcntl.LOCK_SH)", "print(F.read(1))", "script.py"),
}

SETPROFILE = "import threading; S = []; threading.setprofile(lambda *a: S.append(1))"
PRCTL = "import ctypes; C = ctypes.CDLL(None); C.prctl(%s)"
TIMER = """
import ctypes
T = ctypes.c_void_p()
ctypes.CDLL(None).timer_create(1, None, ctypes.byref(T))
"""
# What a prelude leaves in its process and interpreter, beside what prelude.py has: name: (prelude, main, reason).
LEFT = {
    "signal handler": ("import signal; signal.signal(signal.SIGUSR1, lambda *a: print('heard'))",
                       "signal.raise_signal(signal.SIGUSR1); print(signal.getsignal(signal.SIGUSR1).__name__)", SERVED),
    "ignored signal": ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
                       "import os; os.kill(os.getpid(), 15); os.system('grep SigIgn /proc/$$/status')", SERVED),
    "wakeup fd": ("import os, signal; R, W = os.pipe(); os.set_blocking(W, False); signal.set_wakeup_fd(W)",
                  "print(signal.set_wakeup_fd(-1) == W)", "a pipe"),
    "alarm": ("import signal; signal.alarm(100)", "print(signal.alarm(0) > 0)", "a running timer"),
    "timer of its own": (TIMER, "print(T.value is not None, open('/proc/self/timers').read()[:3])", "a running timer"),
    "path": ("import sys; sys.path.insert(0, '/nowhere'); sys.path_hooks.append(print); sys.meta_path.append(object())",
             "print(sys.path, len(sys.path_hooks), len(sys.meta_path))", SERVED),
    "modules": ("import sys, types; sys.modules['json'] = types.ModuleType('json', 'mine'); sys.modules['none'] = None",
                "import json; print(json.__doc__, 'none' in sys.modules)", SERVED),
    "locale": ("import locale; locale.setlocale(locale.LC_ALL, 'C'); locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
               "print(locale.setlocale(locale.LC_ALL))", SERVED),
    "gc": ("import gc; gc.disable(); gc.set_threshold(11, 12, 13)", "print(gc.isenabled(), gc.get_threshold())", SERVED),
    "gc's debug mode": ("import gc; gc.set_debug(gc.DEBUG_SAVEALL)",
                        "\n    L = []; L.append(L); del L; print(gc.get_debug(), gc.collect() > 0)", "gc in debug mode"),
    "warnings": ("import warnings; warnings.simplefilter('error')\n"
                 "try: warnings.warn('x')\nexcept UserWarning: warnings.filterwarnings('ignore', 'y')",
                 "print([f[:2] for f in warnings.filters][:3]); warnings.warn('y')", SERVED),
    "hooks": ("import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\nsys.displayhook = print\n"
              "sys.unraisablehook = lambda *a: print('unraisable')",
              "sys.displayhook(1); 1 / 0", SERVED),
    "faulthandler": ("import faulthandler, signal; faulthandler.enable(); faulthandler.register(signal.SIGUSR2, chain=False)",
                     "import os; print(faulthandler.is_enabled(), flush=True); os.kill(os.getpid(), signal.SIGUSR2); faulthandler._sigsegv()",
                     SERVED),
    "faulthandler's watchdog": ("import faulthandler; faulthandler.dump_traceback_later(100)",
                                "faulthandler.cancel_dump_traceback_later(); print('late')", "threads that a fork would lose"),
    "trace function": ("import sys; S = []; sys.settrace(lambda frame, *a: S.append(frame.f_code.co_filename))",
                       "sys.settrace(None); print({s[:1] for s in S} - {'/', '<'}, [s for s in S if 'quicken' in s])",
                       "a trace or profile function"),
    "profile function": ("import sys; S = []; sys.setprofile(lambda frame, *a: S.append(frame.f_code.co_filename))",
                         "sys.setprofile(None); print([s for s in S if 'quicken>' in s])", "a trace or profile function"),
    "profile function of threads": (SETPROFILE, "T = threading.Thread(target=len, args=('',)); T.start(); T.join(); print(len(S) > 0)",
                                    SERVED),
    "audit hook": ("import sys; S = []; sys.addaudithook(lambda event, a: S.append(event))",
                   "print(len(S) < 9)", "sys.addaudithook"),
    "tracemalloc": ("import tracemalloc; tracemalloc.start()",
                    "print([s for s in map(str, tracemalloc.take_snapshot().statistics('filename')) if 'quicken>' in s])",
                    "tracemalloc"),
    "decimal context": ("import decimal; decimal.getcontext().prec = 5", "print(decimal.Decimal(1) / 3)", SERVED),
    "context variable": ("import contextvars; V = contextvars.ContextVar('V'); V.set(3)", "print(V.get())", SERVED),
    "limits of the interpreter": ("import sys, threading, socket; sys.setrecursionlimit(777); sys.setswitchinterval(0.25)\n"
                                  "threading.stack_size(1 << 20); socket.setdefaulttimeout(7)",
                                  "print(sys.getrecursionlimit(), sys.getswitchinterval(), threading.stack_size(), socket.getdefaulttimeout())",
                                  SERVED),
    "exit functions": ("import atexit, weakref\nclass K: pass\nK1 = K(); weakref.finalize(K1, print, 'finalized')\n"
                       "atexit.register(print, 'first'); atexit.register(print, 'second')", "atexit.register(print, 'third')", SERVED),
    "variable": ("import os; os.environ['A_VARIABLE'] = 'set'", "os.system('echo $A_VARIABLE')", SERVED),
    "variable in C alone": ("import os; os.putenv('A_VARIABLE', 'set')", "os.system('echo $A_VARIABLE')", "A_VARIABLE"),
    "variable of a library": ("import ctypes; C = ctypes.CDLL(None); C.setenv(b'A_VARIABLE', b'set', 1)",
                              "import os; os.system('echo $A_VARIABLE')", "A_VARIABLE"),
    "another stdout": ("import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 1)", "os.write(1, b'lost'); os.write(2, b'shown')",
                       "replaces stdout"),
    "stderr on stdout": ("import os; os.dup2(1, 2)", "os.write(2, b'x')", "replaces stderr"),
    "closed stdin": ("import os; os.close(0)", "print(os.path.exists('/proc/self/fd/0'))", "replaces stdin"),
    "session": ("import os\ntry: os.setsid()\nexcept OSError: os.setpgrp()",
                "print(os.getpgrp() == os.getpid())", "os.set(sid|pgrp)"),
    "name of the process": (PRCTL % "15, b'another'", "print(open('/proc/self/comm').read())", "the process's name"),
    "parent's death": (PRCTL % "1, 15", "V = ctypes.c_int(); C.prctl(2, ctypes.byref(V)); print(V.value)", "prctl"),
    "subreaper": (PRCTL % "36, 1", "V = ctypes.c_int(); C.prctl(37, ctypes.byref(V)); print(V.value)", "prctl"),
    "timer slack": (PRCTL % "29, 12345", "print(C.prctl(30))", "prctl"),
}

# A clock that a prelude keeps is found wherever these keep it. name: (prelude, where or SERVED).
CLOCKS = {
    "time": ("import time; START = time.time()", "__main__.START"),
    "from time": ("from time import time as now; START = now()", "__main__.START"),
    "seconds": ("import time; START = int(time.time())", "__main__.START"),
    "milliseconds": ("import time; START = round(time.time() * 1000)", "__main__.START"),
    "time_ns": ("import time; START = time.time_ns()", "__main__.START"),
    "monotonic": ("import time; START = time.monotonic()", "__main__.START"),
    "monotonic_ns": ("import time; START = time.monotonic_ns()", "__main__.START"),
    "perf_counter": ("import time; START = time.perf_counter()", "__main__.START"),
    "timeit": ("import timeit; START = timeit.default_timer()", "__main__.START"),
    "process_time": ("import time; START = time.process_time()", "__main__.START"),
    "process_time_ns": ("import time; START = [time.process_time_ns()]", "__main__.START"),
    "localtime": ("import time; NOW = time.localtime()", "__main__.NOW"),
    "gmtime": ("import time; NOW = time.gmtime()", "__main__.NOW"),
    "strftime": ("import time; STAMP = time.strftime('%Y%m%d-%H%M%S')", "__main__.STAMP"),
    "ctime": ("import time; NOW = 'made at ' + time.ctime()", "__main__.NOW"),
    "date in a text": ("import time; LOG = 'log-%s.txt' % time.strftime('%Y-%m-%d')", "__main__.LOG"),
    "now": ("import datetime; NOW = datetime.datetime.now()", "__main__.NOW"),
    "now in a zone": ("import datetime as d; NOW = d.datetime.now(d.timezone(d.timedelta(hours=9)))", "__main__.NOW"),
    "utcnow": ("import datetime; NOW = datetime.datetime.utcnow()", "__main__.NOW"),
    "today": ("import datetime; TODAY = datetime.date.today()", "__main__.TODAY"),
    "isoformat": ("import datetime; NOW = datetime.datetime.now().isoformat()", "__main__.NOW"),
    "numpy": ("import numpy; NOW = numpy.datetime64('now')", "__main__.NOW"),
    "pandas": ("import pandas; NOW = pandas.Timestamp.now()", "__main__.NOW"),
    "uuid1": ("import uuid; U = uuid.uuid1()", "__main__.U"),
    "email": ("import email.utils; NOW = email.utils.formatdate()", "__main__.NOW"),
    "default": ("import time\ndef f(now=time.time()): pass", "__main__.f()"),
    "class": ("import time\nclass K:\n    start = time.time()", "__main__.K.start"),
    "default of a method": ("import time\nclass K:\n    def f(self, *, now=time.time()): pass", "__main__.K.f()"),
    "instance": ("import time\nclass K:\n    def __init__(self): self.start = time.monotonic()\nK1 = K()", "__main__.K1.start"),
    "dictionary": ("import time; D = {'start': time.time()}", "__main__.D"),
    "module": ("import clocked", "clocked.START"),
    "module asked by another": ("import asked; START = asked.now()", "__main__.START"),
    "asked, not kept": ("import time; A = time.time() > 0; YEARS = 365.25; BIG = 2**31; ZERO = 0.0; time.monotonic()", SERVED),
    "asked for a while": ("import time\ndef f():\n    start = time.perf_counter()\n    return time.perf_counter() - start\nTOOK = f() < 9",
                          SERVED),
    "processor's time asked": ("import time, numpy; time.process_time(); FLAG = 1 << 24; STEP = 0.05; D = {'a': 0.1, 'b': 50_000_000}", SERVED),
    "dates": ("import datetime, time; time.time(); D = datetime.date(2020, 1, 2); S = 'since 2020-01-02 03:04:05'", SERVED),
    "not asked": ("import datetime, time, logging, threading, json", SERVED),
    "waits": ("import threading, queue\nthreading.Event().wait(0.01)\ntry: queue.Queue().get(timeout=0.01)\nexcept queue.Empty: pass",
              SERVED),
    "libraries": ("import numpy, pandas, requests, sklearn, yaml, pygments", SERVED),
}

# What every run draws for itself, whatever the prelude has had of it.
RANDOM = """
import os, random, secrets, ssl, tempfile, threading, uuid
import multiprocessing
DRAWN = ssl.RAND_bytes(8)
NAMES = tempfile._get_candidate_names()
if __name__ == '__main__':
    print(ssl.RAND_bytes(8).hex(), os.urandom(8).hex(), uuid.uuid4(), secrets.token_hex(), random.random(),
          random.randrange(10**9), next(NAMES), random.SystemRandom().random(), random.Random().random(),
          bytes(multiprocessing.current_process().authkey).hex())
"""
NUMPY = """
import numpy, numpy.random
OLD = numpy.random.RandomState
if __name__ == '__main__':
    print(numpy.random.rand(), numpy.random.randint(10**9), numpy.random.default_rng().random(), OLD().rand())
"""
OWN_GENERATOR = """
import random
import quicken
R = random.Random()
quicken.after_fork(R.seed)
if __name__ == '__main__':
    print(R.random())
"""
PROCESS = """
import logging, threading, time, multiprocessing, os
KEY = multiprocessing.current_process()
KEY.authkey = b'mine'
if __name__ == '__main__':
    record = logging.makeLogRecord({})
    record = logging.LogRecord('n', 20, 'p', 1, 'm', (), None)
    main = threading.main_thread()
    print(record.relativeCreated < 1000, main.ident == threading.get_ident(), main.native_id == os.getpid(),
          record.process == os.getpid(), multiprocessing.current_process().pid == os.getpid(),
          bytes(multiprocessing.current_process().authkey), time.process_time() < 5)
"""


def packaged(*modules):
    """Those that Debian's python3 does not have."""
    code = "import importlib.util as u; print([m for m in %r if not u.find_spec(m)])" % (modules,)
    return subprocess.check_output([harness.PYTHON, "-c", code], text=True).strip()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection stays open

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"yes")

    def log_message(self, *_args):
        pass


@contextlib.contextmanager
def web_server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "http://127.0.0.1:%d/" % server.server_port
        server.shutdown()
        thread.join()


def without_addresses(result):
    return result._replace(stderr=re.sub(rb"0x[0-9a-f]+", b"0x", result.stderr))


def without_times(result):
    """Without process id and time of day, which GLib puts before its messages."""
    return result._replace(stderr=re.sub(rb":\d+\)(.*): [\d:.]+: ", rb"\1 ", result.stderr))


class Rungs(harness.Case):
    def each(self, cases, compare):
        """compare(DIRECTORY, *CASE) for each case, some at once, each in a directory that no other one has at the time."""
        directories = queue.SimpleQueue()
        for job in range(JOBS):
            directories.put(self.bed.path(f"job{job}"))
            os.mkdir(self.bed.path(f"job{job}"))

        def run(case):
            directory = directories.get()
            try:
                compare(directory, *case)
            finally:
                directories.put(directory)

        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            outcomes = [(name, pool.submit(run, case)) for name, case in cases.items()]
        for name, outcome in outcomes:
            with self.subTest(name):
                outcome.result()

    def script(self, directory, prelude, main):
        return self.bed.write(directory + "/script.py", f"{prelude}\n{MAIN}{main}\n".encode())

    def assert_rung(self, script, reason, **options):
        """Served from its prelude if there is no reason, else from an interpreter, for that reason."""
        status = self.bed.status(script, **options)
        self.assertEqual(("interpreter" if reason else "prelude"), status["rung"], status["reason"])
        self.assertRegex(status["reason"], reason or "^$")


class Hazards(Rungs):
    def compare(self, directory, prelude, main, reason):
        script = self.script(directory, prelude, main)
        result = self.assert_same([script], normal=without_addresses, cwd=directory)
        self.assertNotIn(b"Traceback", result.stderr)
        self.assert_rung(script, reason)

    def test_libraries_are_there(self):
        """Else the tests of them would test that an import fails alike."""
        self.assertEqual("[]", packaged("numpy", "numexpr", "pandas", "sklearn", "grpc", "requests", "gi", "PyQt5", "Xlib", "tkinter"))

    def test_forks(self):
        self.each(FORKS, self.compare)

    def test_left_behind(self):
        self.each(LEFT, self.compare)

    def test_connection_that_is_open(self):
        with web_server() as url:
            for prelude, reason in (("", SERVED), ("A = S.get(URL).text", "connect")):
                with self.subTest(prelude):
                    script = self.bed.write("script.py", f"import requests\nURL = {url!r}\nS = requests.Session()\n{prelude}\n"
                                                         f"{MAIN}print(S.get(URL).text, S.get(URL).text)\n")
                    self.assertEqual(b"yes yes\n", self.assert_same([script]).stdout)
                    self.assert_rung(script, reason)

    def test_clock_that_is_kept(self):
        def compare(directory, prelude, where):
            self.bed.write(directory + "/clocked.py", "import time\nSTART = time.time()\n")
            self.bed.write(directory + "/asked.py", "import time\ndef now(): return time.time()\n")
            reason = where and re.escape("the prelude keeps the time in " + where) + "$"
            self.compare(directory, prelude, "print('late')", reason)

        self.each(CLOCKS, compare)

    def test_clock_that_is_kept_in_each_python(self):
        script = self.bed.write("script.py", f"import datetime\nclass K:\n    now = [datetime.datetime.now()]\nNOW = K.now[0]\n{MAIN}print('late')\n")
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                self.assert_same([script], python=python, plain=[python, script])
                status = json.loads(self.bed.ctl("status", "--json", "--python", python, "--file", script).stdout)
                self.assertEqual("the prelude keeps the time in __main__.NOW", status["reason"])

    def test_device_of_cuda(self):
        """A node of that name stands in for it, in namespaces of client and server: an open one is not served."""
        script = self.bed.write("script.py", f"import os\nF = os.open('/dev/nvidia0', os.O_RDONLY)\n{MAIN}print(os.read(F, 1))\n")
        lines = ("mount -t tmpfs nodes /mnt && touch /mnt/null /mnt/nvidia0 && mount --bind /dev/null /mnt/null && "
                 "mount --bind /dev/full /mnt/nvidia0 && mount --rbind /mnt /dev && "
                 '"$1" "$2" && "$3" run --file "$2" && "$3" run --file "$2" && "$4" status --json --file "$2"; '
                 '"$4" stop --file "$2" >/dev/null')
        namespaces = ["unshare", "--user", "--map-root-user", "--mount"]
        if self.bed.run([*namespaces, "true"]).status != 0:
            self.skipTest("no user namespaces")
        result = self.bed.run([*namespaces, "sh", "-c", lines, "sh", harness.PYTHON, script, harness.QUICKEN, harness.QUICKENCTL])
        self.assertEqual([b"b'\\x00'"] * 3, result.stdout.splitlines()[:3], result)
        status = json.loads(result.stdout.splitlines()[3])
        self.assertEqual(("interpreter", "the prelude leaves /dev/nvidia0 open"), (status["rung"], status["reason"]))

    def test_clock_of_each_run(self):
        """Also of those that come later: what is kept is of the run itself."""
        script = self.bed.write("script.py", f"import time, logging\nSTART = time.time()\n{MAIN}"
                                             "print(time.time() - START < 0.9, logging.LogRecord('n', 1, 'f', 2, 'm', (), None).relativeCreated < 900)\n")
        logs = self.bed.write("logs.py", f"import logging\n{MAIN}print(logging.LogRecord('n', 1, 'f', 2, 'm', (), None).relativeCreated < 900)\n")
        for each in (script, logs):
            self.assertEqual(b"True", self.assert_same([each]).stdout[:4])
        time.sleep(1)
        for each in (script, logs):
            self.assertEqual(b"True", self.assert_served([each]).stdout[:4])
        self.assert_rung(script, "keeps the time in __main__.START")
        self.assert_rung(logs, SERVED)

    def test_random_numbers_of_each_run(self):
        """With every Python, as with every plain run; what the prelude has drawn by itself stays."""
        script = self.bed.write("script.py", RANDOM)
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                self.assert_each_drawn(script, 10, python)

    def test_random_numbers_that_are_kept(self):
        """What a prelude draws is drawn by every run."""
        for draw in ("os.urandom(8)", "uuid.uuid4()", "secrets.token_hex()", "random.Random().random()", "random.SystemRandom().random()"):
            with self.subTest(draw):
                script = self.bed.write("script.py", f"import os, random, secrets, uuid\nA = {draw}\n{MAIN}print(A)\n")
                runs = {self.bed.quick([script]).stdout for _ in range(4)}
                self.assertEqual(4, len(runs), runs)

    def test_random_numbers_of_numpy(self):
        self.assert_each_drawn(self.bed.write("script.py", NUMPY), 4, harness.PYTHON)

    def assert_each_drawn(self, script, count, python):
        runs = [self.bed.run([python, script])] + [self.bed.quick([script], python=python) for _ in range(4)]
        drawn = [result.stdout.split() for result in runs]
        self.assertEqual({count}, set(map(len, drawn)), runs)
        for values in zip(*drawn):
            self.assertEqual(len(values), len(set(values)), values)
        status = json.loads(self.bed.ctl("status", "--json", "--python", python, "--file", script).stdout)
        self.assertEqual(("prelude", 4), (status["rung"], int(status["commands_run"])), status["reason"])

    def test_generator_of_its_own(self):
        """It is reseeded by the hook that there is for it; without, it repeats, which is documented."""
        script = self.bed.write("script.py", OWN_GENERATOR)
        path = os.path.join(harness.PREFIX, "share", "quicken", "python")
        env = {"PYTHONPATH": path}
        runs = [self.bed.quick([script], env=env).stdout for _ in range(4)]
        self.assertEqual(4, len(set(runs)), runs)
        self.assert_rung(script, SERVED, env=env)

    def test_process_of_each_run(self):
        script = self.bed.write("script.py", PROCESS)
        for version, python in sorted(pythons.pythons().items()):
            with self.subTest(version):
                self.assert_same([script], python=python, plain=[python, script])

    def test_monitoring(self):
        script = self.bed.write("script.py", f"import sys\nsys.monitoring.use_tool_id(3, 'mine')\n{MAIN}print(sys.monitoring.get_tool(3))\n")
        found = [python for version, python in sorted(pythons.pythons().items()) if int(version.split(".")[1]) >= 12]
        if not found:
            self.skipTest("no Python from 3.12")
        for python in found:
            self.assert_same([script], python=python, plain=[python, script])
            status = json.loads(self.bed.ctl("status", "--json", "--python", python, "--file", script).stdout)
            self.assertIn("trace or profile function", status["reason"])

    def test_signals_that_the_caller_ignores(self):
        """What the prelude says about a signal counts more, as in a plain run."""
        script = self.bed.write("script.py", f"import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
                                             f"{MAIN}print(int(signal.getsignal(signal.SIGPIPE)), int(signal.getsignal(signal.SIGHUP)))\n")

        def ignoring(argv):
            return self.bed.run(["sh", "-c", 'trap "" PIPE HUP; exec "$@"', "sh", *argv])

        expected = ignoring([harness.PYTHON, script])
        self.assertEqual(b"0 1\n", expected.stdout)
        for _ in range(2):
            self.assert_result(expected, ignoring(self.bed.quick_argv([script])), "with ignored signals")
        self.assert_rung(script, SERVED)


@unittest.skipUnless(shutil.which("Xvfb"), "Xvfb is not installed")
class Displays(Rungs):
    """A connection to a display is each command's own."""

    # name: (prelude, main, reason with a display)
    CASES = {
        "Qt": ("from PyQt5 import QtWidgets",
               "A = QtWidgets.QApplication([]); W = QtWidgets.QLabel('x'); W.show(); A.processEvents(); print(W.isVisible(), A.platformName())",
               SERVED),
        "Qt with an application": ("from PyQt5 import QtWidgets; A = QtWidgets.QApplication([])",
                                   "W = QtWidgets.QLabel('x'); W.show(); A.processEvents(); print(W.isVisible())", "leaves"),
        "Gdk": ("import gi; gi.require_version('Gdk', '3.0'); from gi.repository import Gdk",
                "print(Gdk.Display.get_default().get_n_screens())", "leaves|sys.argv"),
        "Gtk": ("import gi; gi.require_version('Gtk', '3.0'); from gi.repository import Gtk",
                "W = Gtk.Window(); W.show(); print(W.get_visible(), Gtk.main_iteration_do(False) in (True, False))", "leaves|sys.argv"),
        "tkinter": ("import tkinter", "W = tkinter.Tk(); W.update(); print(W.winfo_ismapped() in (0, 1)); W.destroy()", SERVED),
        "tkinter with a window": ("import tkinter; W = tkinter.Tk()", "W.update(); print(W.winfo_exists())", "leaves"),
        "Xlib": ("import Xlib.display", "print(Xlib.display.Display().screen_count())", SERVED),
        "Xlib with a display": ("import Xlib.display; D = Xlib.display.Display()", "print(D.screen_count())", "connect"),
    }

    def setUp(self):
        super().setUp()
        self.display = {"DISPLAY": self.start_display(), "NO_AT_BRIDGE": "1"}

    def test_displays(self):
        def compare(directory, prelude, main, reason):
            script = self.script(directory, prelude, main)
            result = self.assert_same([script], env=self.display, cwd=directory)
            self.assertEqual(0, result.status, result.stderr)
            self.assert_rung(script, reason, env=self.display)

        self.each(self.CASES, compare)

    def test_no_display(self):
        """Who has none gets the program's own words about it."""
        def compare(directory, prelude, main, _reason):
            self.assert_same([self.script(directory, prelude, main)], normal=without_times, served=False, cwd=directory)

        self.each(self.CASES, compare)


if __name__ == "__main__":
    harness.main()
