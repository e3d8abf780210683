"""The extension module quick_server._engine by itself: handlers, arguments, threads, JSON, TLS, streams, forks.

A program with a small request class of its own stands for the package; clients are http.client and raw sockets. It
runs with Debian's Python and with those of pyenv, 3.8 to 3.13, that are there: one module serves all.
"""

import concurrent.futures
import glob
import gzip
import http.client
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

PACKAGE = os.path.join(harness.PREFIX, "libexec", "quicken", "python", "quick_server")
PYTHONS = [harness.PYTHON] + sorted(
    python for version in range(8, 14)
    for python in glob.glob(os.path.expanduser(f"~/.pyenv/versions/3.{version}.*/bin/python3")))

PROGRAM = r"""
import json, os, signal, socket, ssl, subprocess, sys, threading, time
sys.path.insert(0, sys.argv[1])
import _engine
options = json.loads(sys.argv[2])

class Request(_engine.Request):
    def parse_body(self, args):
        if self.body() == b'bad': raise ValueError('a bad body')
        body = self.body()
        content = body.decode() if isinstance(body, bytes) else len(body.read())
        args['post'] = {'body': content, 'kind': type(body).__name__}

def page(status, text): return (status, '', [('Content-Type', 'text/plain')], text.encode())
def finish(request, kind, result):
    if result is None: return None if getattr(request, 'answered', False) else page(404, 'nothing')
    if isinstance(result, tuple): return result
    return page(200, '%s: %r' % (kind, result))
def fail(request, error):
    if getattr(request, 'answered', False): return None
    return page(500, '%s: %s' % (type(error).__name__, error))
def log(lines): sys.stderr.write(''.join(line + '\n' for line in lines.split('\n'))); sys.stderr.flush()

engine = _engine.Engine(Request, finish, fail, log)
engine.configure(suppress_noise=True, **options.get('configure', {}))
listener = socket.socket(); listener.bind(('127.0.0.1', 0)); listener.listen(1000)
context = None
if options.get('tls'):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(options['tls'])
engine.listen(listener.fileno(), context)

kept, running, most, lock = [], 0, 0, threading.Lock()
# As much as is compressed, and takes long.
LARGE = os.urandom(1 << 19).hex()
def where(request, args):
    return [threading.current_thread() is threading.main_thread(), type(threading.current_thread()).__name__]
def echo(request, args): return args
def sleep(request, args):
    global running, most
    with lock: running += 1; most = max(most, running)
    time.sleep(float(args['query']['s']))
    with lock: running -= 1
    return most
def spin(request, args):
    end = time.perf_counter() + float(args['query']['s'])
    while time.perf_counter() < end: pass
    return 'done'
def compute(request, args):
    end = time.monotonic() + float(args['query']['s'])
    def work():
        while time.monotonic() < end: pass
    threading.Thread(target=work, daemon=True).start()
    return 'computes'
def keep(request, args): kept.append(request); return 'kept'
def recall(request, args):
    old = kept[-1]
    return [old.path, old.command, old.requestline, old.client_address[0],
            dict(old.fields()).get('X-Mark'), old.secure,
            old.request_version, type(old.body()).__name__]
def stream(request, args):
    request.answered = True
    request.begin(200, 'OK', [('Content-Type', 'text/plain')])
    for number in range(int(args['query']['n'])):
        request.write(b'%06d\n' % number)
        if 'slowly' in args['query']: time.sleep(0.01)
    if 'broken' in args['query']: raise ValueError('in the middle')
def flood(request, args):
    request.answered = True
    request.begin(200, 'OK', [])
    try:
        for _ in range(400): request.write(b'x' * 1000000)
    except ConnectionError: print('gone', flush=True)
def raw(request, args):
    request.answered = True
    with socket.socket(fileno=request.hijack()) as connection:
        connection.sendall(b'hello\n')
        got = b''
        while not got.endswith(b'\n'): got += connection.recv(100)
        connection.sendall(got.upper())
def fork(request, args):
    child = os.fork()
    if child == 0:
        time.sleep(5)
        os._exit(0)
    return child
def fork_back(request, args):
    child = os.fork()
    if child == 0: return 'from the child'
    os.waitpid(child, 0)
    return 'from the parent'
def run(request, args): return subprocess.run(['cat', '/proc/self/status'], stdout=subprocess.PIPE).stdout.decode()
def fails(request, args): raise [ValueError('wrong'), SystemExit(3), KeyboardInterrupt()][int(args['query']['n'])]
def file(request, args):
    return (200, '', [('Content-Type', 'text/x-file')], open(sys.argv[1] + '/_engine.abi3.so', 'rb'))
def interval(request, args): return sys.getswitchinterval()
def threads(request, args): return threading.active_count()
def large(request, args):
    if 'tell' in args['query']: print('made', flush=True)
    return LARGE

route = engine.route
for mask, handler in {'/echo': echo, '/echo/:first/x/:last': echo, '/where': where, '/sleep': sleep, '/spin': spin, '/compute': compute,
                      '/keep': keep,
                      '/recall': recall, '/stream': stream, '/flood': flood, '/raw': raw, '/fork': fork,
                      '/fork_back': fork_back,
                      '/run': run, '/fails': fails, '/interval': interval, '/threads': threads}.items():
    route('GET', mask, 'json', None, handler)
for method in ('POST', 'PUT', 'DELETE'): route(method, '/body', 'json', None, echo)
route('GET', '/file', 'text', None, file)
route('GET', '/text', 'text', None, lambda request, args: 'h\xe9')
route('GET', '/large', 'text', None, large)
route('GET', '/bytes', 'text', None, lambda request, args: b'\x00\xff')
route('GET', '/none', 'text', None, lambda request, args: None)
route('GET', '/object', 'json', None, lambda request, args: {1, })
route('GET', '/self', 'text', None, lambda request, args: 'old')
route('GET', '/self', 'text', None, lambda request, args: 'new')
route('GET', '/long', 'text', None, lambda request, args: 'short')
route('GET', '/long/er', 'text', None, lambda request, args: 'longer')
route('GET', '/exact', 'text', 2, lambda request, args: 'two')
route('GET', '/busy', 'text', None, lambda request, args: engine.set_busy(int(args['query']['n'])) or 'ok')
route('GET', '/', 'text', None, lambda request, args: 'root')
if options.get('fallback'): engine.set_fallback(lambda path: options['fallback'] if path == '/fall' else None)
def slow(method, path, seconds, done): log('slow %s %s %s' % (method, path, done))
engine.configure(slow=slow)

def control():
    for line in sys.stdin:
        if line.split()[0] == 'stop': engine.stop(float(line.split()[1]))
threading.Thread(target=control, daemon=True).start()
print(listener.getsockname()[1], flush=True)
for round in range(options.get('rounds', 1)):
    try:
        engine.serve()
    except KeyboardInterrupt:
        print('interrupted', flush=True)
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith('quick_server')]
    print('served', len(names), flush=True)
print('interval', sys.getswitchinterval(), flush=True)
"""


class Server:
    """The program, running."""

    def __init__(self, python=harness.PYTHON, **options):
        self.process = subprocess.Popen([python, "-c", PROGRAM, PACKAGE, json.dumps(options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.port = int(line)

    def connect(self, timeout=30):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, path, method="GET", body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return response, content

    def json(self, *arguments, **keywords):
        return json.loads(self.ask(*arguments, **keywords)[1])

    def stop(self, latency=0):
        self.process.stdin.write(f"stop {latency}\n")
        self.process.stdin.flush()

    def end(self):
        """Its output and errors once it has ended by itself."""
        return self.process.communicate(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Load:
    """Clients that ask for paths, each for one again and again, until the server closes or stop."""

    def __init__(self, server, each, paths=("/text", "/echo/a/x/b")):
        self.server = server
        self.answered = 0
        self.wrong = []  # answers
        self.cut_off = []  # paths of answers that have ended too soon
        self.over = False
        self.clients = [threading.Thread(target=self.run, args=(path,)) for path in paths for _ in range(each)]

    def run(self, path):
        connection = self.server.connect()
        try:
            while not self.over:
                connection.request("GET", path)
                response = connection.getresponse()
                content = response.read()
                if (response.status, path) not in ((200, path), (500, "/fails?n=0")) or not content:
                    self.wrong.append((path, response.status, content))
                self.answered += 1
        except (ConnectionError, http.client.BadStatusLine):
            pass  # between two answers
        except http.client.IncompleteRead:
            self.cut_off.append(path)
        finally:
            connection.close()

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for client in self.clients:
            client.join()


class Each(unittest.TestCase):
    """With every Python that is there."""

    def test_serves_and_ends(self):
        for python in PYTHONS:
            with self.subTest(python=python), Server(python) as server:
                response, content = server.ask("/echo/a/b%20c/../d?x=1&y=a+b&z&x=%32#f%20g")
                self.assertEqual(response.status, 200)
                self.assertEqual(response.getheader("Content-Type"), "application/json")
                self.assertEqual(json.loads(content), {"paths": ["a", "d"], "query": {"x": "2", "y": "a+b", "z": True},
                                                       "fragment": "f g", "segments": {}, "meta": {}, "cookie": {}})
                self.assertEqual(server.ask("/fails?n=0")[1], b"ValueError: wrong")
                server.stop()
                output, errors = server.end()
                self.assertEqual(output.split("\n")[0], "served 0", errors)
                self.assertEqual(server.process.returncode, 0, errors)

    def test_slow_handlers_and_interrupt(self):
        for python in PYTHONS:
            with self.subTest(python=python), Server(python) as server:
                with concurrent.futures.ThreadPoolExecutor(20) as pool:
                    started = time.monotonic()
                    slow = [pool.submit(server.json, "/sleep?s=0.5") for _ in range(20)]
                    most = max(future.result() for future in slow)
                    self.assertLess(time.monotonic() - started, 5)  # 10 s one after the other
                    self.assertGreater(most, 10)
                server.process.send_signal(signal.SIGINT)
                output, errors = server.end()
                self.assertIn("interrupted\nserved 0\n", output, errors)

    def test_ends_while_handlers_run(self):
        """The interpreter ends under threads that sleep, compute and stream: without a crash, and at once."""
        for python in PYTHONS:
            with self.subTest(python=python), Server(python) as server:
                connections = []
                for path in ["/sleep?s=20", "/sleep?s=20", "/spin?s=20", "/stream?n=100000&slowly", "/flood"]:
                    connections.append(server.connect())
                    connections[-1].request("GET", path)
                time.sleep(0.3)
                self.assertEqual(server.ask("/text")[0].status, 200)
                server.stop()
                output, errors = server.end()
                self.assertEqual(server.process.returncode, 0, errors)
                for connection in connections:
                    connection.close()

    def test_json(self):
        program = "import sys; sys.path.insert(0, sys.argv[1]); import _engine, json\n" + JSON_PROGRAM
        for python in PYTHONS:
            with self.subTest(python=python):
                done = subprocess.run([python, "-c", program, PACKAGE], capture_output=True, text=True, timeout=120)
                self.assertEqual((done.returncode, done.stdout), (0, "done\n"), done.stderr)


# Random values, and cases of which each has its own way through the serializer; the measure is Python's json.
JSON_PROGRAM = r"""
import collections, enum, math, random, struct
def expected(value): return json.dumps(value, indent=2, sort_keys=True)
def check(value, as_value=None):
    assert _engine.json_dumps(value) == expected(value if as_value is None else as_value), repr(value)[:200]
def fails(value, error):
    try: _engine.json_dumps(value)
    except error: return
    raise AssertionError(repr(value)[:200])
def text(draw):
    return ''.join(draw.choice(['a', 'Z', '"', '\\', '\n', '\0', '\x1f', '\x7f', '\x80', 'é', '€', '\ud800', '😀', '/',
                                ' '])
                   for _ in range(draw.randrange(8)))
def value(draw, depth):
    kind = draw.randrange(11 if depth else 7)
    if kind == 0: return draw.choice([None, True, False])
    if kind == 1: return draw.randrange(-10**draw.randrange(1, 30), 10**draw.randrange(1, 30))
    if kind == 2: return draw.uniform(-1, 1) * 10.0 ** draw.randrange(-320, 308)
    if kind == 3: return float(draw.randrange(-100, 100))
    if kind < 7: return text(draw)
    if kind < 9: return {text(draw): value(draw, depth - 1) for _ in range(draw.randrange(6))}
    items = [value(draw, depth - 1) for _ in range(draw.randrange(6))]
    return items if kind == 9 else tuple(items)
draw = random.Random(7)
for _ in range(5000): check(value(draw, 5))
floats = [struct.unpack('d', draw.getrandbits(64).to_bytes(8, 'little'))[0] for _ in range(20000)]
floats += [draw.uniform(1e-5, 1e-3) for _ in range(2000)] + [draw.uniform(1e14, 1e17) for _ in range(2000)]
floats += [float(power) for power in range(53)] + [10.0 ** power for power in range(-30, 30)]
floats += [round(draw.uniform(0, 1e4), 2) for _ in range(2000)]
check([number for number in floats if math.isfinite(number)])
class Level(enum.IntEnum): LOW = 1
class Text(str): pass
class Number(float):
    def __repr__(self): return 'never'
nan, inf = math.nan, math.inf
check(Text('a')); check([Number(1.5)]); check({Text('b'): 1, 'a': 2}); check({1: 'a', 2: 'b'})
check({True: 1}); check({None: 1})
check([Level.LOW]); check(collections.OrderedDict(b=1, a=2)); check(2**64)
check(-2**63); check(-0.0); check(1e16); check(1e-5)
check([]); check({}); check(()); check([[], {}, ()]); check('\ud800'); check({'\ud800': 1, '\uffff': 2, '😀': 3})
check(nan, 'NaN'); check([inf, {'a': -inf}], ['Infinity', {'a': '-Infinity'}]); check({1: nan}, {1: 'NaN'})
check([Number(nan), (Text('x'), inf)], ['NaN', ['x', 'Infinity']])
deep = 1
for _ in range(300): deep = [deep]
check(deep)
circle = []; circle.append(circle); fails(circle, ValueError)
wide = []; wide.extend([wide] * 5); fails(wide, ValueError)
fails({1: 1, 'a': 2}, TypeError); fails({1, 2}, TypeError); fails([nan, {3, 4}], TypeError); fails({(1,): 2}, TypeError)
for _ in range(200000): deep = [deep]
fails(deep, RecursionError)
print('done')
"""


class Requests(unittest.TestCase):
    """What handlers are given, and what becomes of their results."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.file = os.path.join(cls.directory.name, "fallback.txt")
        with open(cls.file, "w") as file:
            file.write("fallen back")
        cls.server = Server(fallback=cls.file, configure={"spool_size": 1 << 20, "max_body": 3 << 20})

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass
        cls.directory.cleanup()

    def text(self, path):
        return self.server.ask(path)[1].decode()

    def test_masks(self):
        self.assertEqual(self.text("/long/er/x"), "longer")
        self.assertEqual(self.text("/long/erx"), "short")
        self.assertEqual(self.text("/long?a"), "short")
        self.assertEqual(self.server.ask("/longer")[0].status, 404)
        self.assertEqual(self.text("/self"), "new")
        self.assertEqual(self.text("/"), "root")
        self.assertEqual(self.text("/?x"), "root")
        self.assertEqual(self.server.ask("/x")[0].status, 404)
        self.assertEqual(self.text("/exact/a/b?c/d"), "two")
        self.assertEqual(self.server.ask("/exact/a")[0].status, 404)
        self.assertEqual(self.server.ask("/exact/a/b/c")[0].status, 404)

    def test_named_segments(self):
        args = self.server.json("/echo/a%20b/x/c?q=1")
        self.assertEqual(args["segments"], {"first": "a%20b", "last": "c?q=1"})
        self.assertEqual((args["paths"], args["query"]), ([], {}))
        args = self.server.json("/echo/a/x/c/rest")
        self.assertEqual((args["segments"], args["paths"]), ({"first": "a", "last": "c"}, ["rest"]))

    def test_dots_never_climb(self):
        for path in ["/echo/../../etc", "/echo/%2e%2e/etc", "/echo/a/.%2E/etc", "/echo/./%2e/etc", "/echo//etc//"]:
            self.assertEqual(self.server.json(path)["paths"], ["etc"], path)

    def test_odd_quoting(self):
        args = self.server.json("/echo/%zz/%4/100%?=v&a==b&%61=%ff&&")
        self.assertEqual(args["paths"], ["%zz", "%4", "100%"])
        self.assertEqual(args["query"], {"": "v", "a": "\ufffd"})

    def test_cookies(self):
        cookie = {"Cookie": 'a=1; b="two words"; novalue; c=x=y;'}
        self.assertEqual(self.server.json("/echo", headers=cookie)["cookie"], {"a": "1", "b": "two words", "c": "x=y"})

    def test_bodies(self):
        for method in ["POST", "PUT", "DELETE"]:
            args = self.server.json("/body?a=b", method, "plain")
            self.assertEqual((args["post"], args["files"]), ({"body": "plain", "kind": "bytes"}, {}))
            self.assertEqual(args["query"], {"a": "b"})
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        post = self.server.json("/body", "POST", ' [1, {"a": "\u00e9"}]\n'.encode(), kind)["post"]
        self.assertEqual(post, [1, {"a": "\u00e9"}])
        self.assertEqual(self.server.json("/body", "POST", "[1] x", kind)["post"]["body"], "[1] x")
        self.assertEqual(self.server.json("/body", "POST", "")["post"], {})
        self.assertEqual(self.server.json("/body", "POST", iter([b"ab", b"cd"]))["post"]["body"], "abcd")
        self.assertEqual(self.server.ask("/body", "POST", "bad")[1], b"ValueError: a bad body")

    def test_large_bodies(self):
        post = self.server.json("/body", "POST", b"x" * (2 << 20))["post"]
        self.assertEqual(post, {"body": 2 << 20, "kind": "BufferedReader"})
        response, content = self.server.ask("/body", "POST", b"x" * (3 << 20) + b"y")
        self.assertEqual(response.status, 413)
        self.assertIn(b"Uploaded file is too large! 3145729 &gt; 3145728", content.replace(b" > ", b" &gt; "))

    def test_results(self):
        response, content = self.server.ask("/text")
        self.assertEqual((content, response.getheader("Content-Type")), ("h\xe9".encode(), "text/html; charset=utf-8"))
        self.assertEqual(self.server.ask("/bytes")[1], b"\x00\xff")
        self.assertEqual(self.server.ask("/none")[0].status, 404)
        self.assertEqual(self.server.ask("/object")[1], b"json: {1}")
        response, content = self.server.ask("/file")
        with open(os.path.join(PACKAGE, "_engine.abi3.so"), "rb") as file:
            self.assertTrue(content == file.read())
        self.assertEqual(response.getheader("Content-Type"), "text/x-file")

    def test_etag(self):
        response, _ = self.server.ask("/text")
        tag = response.getheader("ETag")
        self.assertEqual(tag, "%x" % zlib.crc32("h\xe9".encode()))
        response, content = self.server.ask("/text", headers={"If-None-Match": tag})
        self.assertEqual((response.status, content), (304, b""))

    def test_head(self):
        response, content = self.server.ask("/text", "HEAD")
        self.assertEqual((response.status, response.getheader("Content-Length"), content), (200, "3", b""))

    def test_methods(self):
        for method in ["POST", "PUT", "DELETE"]:
            self.assertEqual(self.server.ask("/unknown", method, "body")[0].status, 404)
        response, _ = self.server.ask("/text", "POST", "body")
        self.assertEqual((response.status, response.getheader("Allow")), (405, "GET, HEAD"))
        self.assertEqual(self.server.ask("/text", "BREW")[0].status, 501)
        response, content = self.server.ask("/text", "OPTIONS")
        self.assertEqual((response.status, content), (200, b""))
        self.assertIsNone(response.getheader("Access-Control-Allow-Origin"))

    def test_exceptions(self):
        self.assertEqual(self.text("/fails?n=0"), "ValueError: wrong")
        self.assertEqual(self.text("/fails?n=1"), "SystemExit: 3")
        self.assertEqual(self.text("/fails?n=2"), "KeyboardInterrupt: ")
        self.assertEqual(self.text("/echo/x?s")[0], "{")

    def test_fallback(self):
        self.assertEqual(self.text("/fall"), "fallen back")
        self.assertEqual(self.server.ask("/fallen")[0].status, 404)
        self.assertEqual(self.server.ask("/fall", "POST", "")[0].status, 404)

    def test_kept_request(self):
        self.server.ask("/keep?a=%20", headers={"X-Mark": "m"})
        for _ in range(50):
            self.server.ask("/text?" + "y" * 500)  # what would take the place of a request that is not copied
        self.assertEqual(self.server.json("/recall"), ["/keep?a=%20", "GET", "GET /keep?a=%20 HTTP/1.1",
                                                       "127.0.0.1", "m", False,
                                                       "HTTP/1.1", "bytes"])

    def test_keep_alive_and_pipelining(self):
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as client:
            client.sendall(b"".join(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path
                                    for path in [b"text", b"sleep?s=0.05", b"self", b"spin?s=0.01", b"self"]) +
                           b"GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            content = b""
            while True:
                part = client.recv(65536)
                if not part:
                    break
                content += part
        self.assertEqual(content.count(b"HTTP/1.1 200 OK"), 6, content)
        self.assertLess(content.index(b"new"), content.index(b"done"))


class CrossOrigin(unittest.TestCase):
    def test_preflight(self):
        with Server(configure={"cross_origin": True}) as server:
            headers = {"Origin": "http://x", "Access-Control-Request-Headers": "X-A"}
            response, content = server.ask("/text", "OPTIONS", headers=headers)
            self.assertEqual((response.status, content), (200, b""))
            self.assertEqual(response.getheader("Access-Control-Max-Age"), "600")
            self.assertEqual(response.getheader("Access-Control-Allow-Methods"), "GET, POST, PUT, DELETE, HEAD")
            self.assertEqual(response.getheader("Access-Control-Allow-Headers"), "X-A")
            self.assertEqual(server.ask("/text")[0].getheader("Access-Control-Allow-Origin"), "*")


class Threads(unittest.TestCase):
    """Where handlers run."""

    def test_slow_handlers_hold_nobody_up(self):
        """Sleeping, computing and streaming handlers, all at once, and quick ones on a connection among them."""
        with Server() as server, concurrent.futures.ThreadPoolExecutor(64) as pool:
            server.ask("/text")
            paths = ["/sleep?s=0.4", "/stream?n=30&slowly", "/sleep?s=0.05"] * 20 + ["/spin?s=0.3"]
            futures = [pool.submit(server.ask, path) for path in paths]
            quick, answered = server.connect(), 0
            while not all(future.done() for future in futures):
                quick.request("GET", "/text")
                self.assertEqual(quick.getresponse().read(), "h\xe9".encode())
                answered += 1
            quick.close()
            self.assertEqual([future.result()[0].status for future in futures], [200] * len(futures))
            self.assertGreater(answered, 20)
            self.assertEqual(server.json("/where"), [False, "Thread"])

    def test_large_answers_hold_nobody_up(self):
        """While one is given its checksum and compressed, others are asked for and answered."""
        with Server() as server:
            quick, large = server.connect(), server.connect()
            waits = False
            for _ in range(100):
                large.request("GET", "/large?tell", headers={"Accept-Encoding": "gzip"})
                self.assertEqual(server.process.stdout.readline(), "made\n")
                for _ in range(5):
                    quick.request("GET", "/text")
                    quick.getresponse().read()
                waits = not select.select([large.sock], [], [], 0)[0]
                self.assertEqual(large.getresponse().read()[:2], b"\x1f\x8b")
                if waits:
                    break
            quick.close()
            large.close()
            self.assertTrue(waits)

    def test_large_answers_are_complete(self):
        """Wherever that is done: where the handler was called at once, apart, in a batch, in serve()."""
        for options, first in [({}, "/text"), ({}, "/compute?s=15"), ({"configure": {"parallel": False}}, "/text")]:
            with self.subTest(options=options, first=first), Server(**options) as server, Load(server, 2) as load:
                server.ask(first)
                self.assertTrue(harness.wait_until(lambda: load.answered > 100, 20), load.answered)
                plain, content = server.ask("/large")
                tag = format(zlib.crc32(content), "x")
                self.assertEqual((plain.getheader("ETag"), len(content)), (tag, 1 << 20))
                for _ in range(5):
                    packed, bytes_ = server.ask("/large", headers={"Accept-Encoding": "gzip"})
                    self.assertEqual((packed.getheader("Content-Encoding"), packed.getheader("ETag")), ("gzip", tag))
                    self.assertEqual(gzip.decompress(bytes_), content)
                    same, nothing = server.ask("/large", headers={"If-None-Match": tag})
                    self.assertEqual((same.status, nothing), (304, b""))
                self.assertEqual(load.wrong, [])

    def test_slow_among_fast_while_a_thread_computes(self):
        """Calls wait for the batch then: a slow one that nothing was known of holds up none of those behind it."""
        for slow in ["/sleep?s=1", "/stream?n=100&slowly", "/spin?s=1"]:
            with self.subTest(slow=slow), Server() as server:
                with Load(server, 8) as load:
                    server.ask("/compute?s=15")
                    self.assertTrue(harness.wait_until(lambda: load.answered > 200, 20), load.answered)
                    started, before = time.monotonic(), load.answered
                    connection = server.connect()
                    connection.request("GET", slow)
                    longest = 0
                    for _ in range(10):
                        asked = time.monotonic()
                        server.ask("/text")
                        longest = max(longest, time.monotonic() - asked)
                    self.assertLess(longest, 0.9)  # not for as long as the slow one takes
                    response = connection.getresponse()
                    self.assertEqual((response.status, bool(response.read())), (200, True))
                    self.assertGreater(load.answered - before, 20)
                    self.assertGreater(time.monotonic() - started, 0.9)
                    connection.close()
                self.assertEqual(load.wrong, [])

    def test_stop_among_all_kinds(self):
        """Slow and fast calls, and threads that compute: drained, each one that was begun is answered; stopped, the
        server ends at once."""
        paths = ["/text", "/echo/a/x/b", "/sleep?s=0.01", "/spin?s=0.004", "/stream?n=20", "/fails?n=0", "/sleep?s=0.1"]
        for latency in [5, 0]:
            with self.subTest(latency=latency), Server() as server, Load(server, 3, paths) as load:
                for _ in range(2):
                    server.ask("/compute?s=2")
                self.assertTrue(harness.wait_until(lambda: load.answered > 300, 30), load.answered)
                server.stop(latency)
                output, errors = server.end()
                self.assertIn("served", output, errors)
                self.assertEqual(server.process.returncode, 0, errors)
            self.assertEqual(load.wrong, [])
            if latency:
                self.assertEqual(load.cut_off, [])

    def test_more_than_there_are_threads(self):
        with Server(configure={"max_pending": 100}) as server:
            connections = []
            for _ in range(320):
                connections.append(server.connect())
                connections[-1].request("GET", "/sleep?s=2")
            time.sleep(1)
            statuses = [connection.getresponse().status for connection in connections]
            self.assertEqual(set(statuses), {200, 503})
            self.assertGreater(statuses.count(200), 100)  # as many as had a thread by then, and those that waited
            self.assertEqual(server.ask("/text")[0].status, 200)
            for connection in connections:
                connection.close()
            # Spares end after some seconds; the loop, two spares and those of the engine and the test stay.
            self.assertTrue(harness.wait_until(lambda: server.json("/threads") <= 8, 20))

    def test_one_at_a_time(self):
        with Server(configure={"parallel": False, "max_pending": 30}) as server:
            self.assertEqual(server.json("/where"), [True, "_MainThread"])
            with concurrent.futures.ThreadPoolExecutor(10) as pool:
                results = [pool.submit(server.json, "/sleep?s=0.02") for _ in range(20)]
                self.assertEqual({result.result() for result in results}, {1})
            self.assertEqual(server.ask("/stream?n=3")[1], b"000000\n000001\n000002\n")
            server.process.send_signal(signal.SIGINT)
            self.assertIn("interrupted", server.end()[0])

    def test_interrupt_in_a_handler(self):
        """On the serving thread it comes out of serve(), as any handler's KeyboardInterrupt and SystemExit."""
        with Server(configure={"parallel": False}) as server:
            connection = server.connect()
            connection.request("GET", "/sleep?s=20")
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            self.assertIn("interrupted", server.end()[0])
        with Server(configure={"parallel": False}) as server:
            self.assertEqual(server.ask("/fails?n=1")[0].status, 500)
            self.assertEqual(server.process.wait(20), 3)

    def test_switch_interval(self):
        with Server() as server:
            usual = sys.getswitchinterval()
            self.assertTrue(harness.wait_until(lambda: server.json("/interval") == usual))
            server.ask("/busy?n=1")
            self.assertTrue(harness.wait_until(lambda: server.json("/interval") == 0.0005))
            server.ask("/busy?n=-1")
            self.assertTrue(harness.wait_until(lambda: server.json("/interval") == usual))
            server.ask("/busy?n=1")
            self.assertTrue(harness.wait_until(lambda: server.json("/interval") == 0.0005))
            server.stop()
            self.assertIn(f"interval {usual}", server.end()[0])

    def test_slow_report(self):
        with Server(configure={"report_slow": 0.2}) as server:
            server.ask("/sleep?s=0.6")
            server.ask("/sleep?s=0.01")
            server.stop()
            lines = [line for line in server.end()[1].split("\n") if line.startswith("slow")]
            self.assertEqual(lines, ["slow GET /sleep?s=0.6 False", "slow GET /sleep?s=0.6 True"])

    def test_served_again(self):
        with Server(rounds=3) as server:
            for _ in range(3):
                self.assertEqual(server.ask("/text")[0].status, 200)
                server.stop(0.5)
                self.assertEqual(server.process.stdout.readline(), "served 0\n")
            self.assertEqual(server.process.wait(10), 0)

    def test_stop_waits_for_answers(self):
        with Server() as server:
            connection = server.connect()
            connection.request("GET", "/sleep?s=0.5")
            time.sleep(0.1)
            server.stop(5)
            self.assertEqual(connection.getresponse().status, 200)
            self.assertEqual(server.process.wait(10), 0)
            connection.close()


class Streams(unittest.TestCase):
    """Answers in parts, and without HTTP."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass

    def test_stream(self):
        response, content = self.server.ask("/stream?n=10000")
        self.assertEqual(response.getheader("Transfer-Encoding"), "chunked")
        self.assertEqual(content, b"".join(b"%06d\n" % number for number in range(10000)))

    def test_broken(self):
        """A handler that fails in the middle: the client sees that the answer is not whole."""
        connection = self.server.connect()
        connection.request("GET", "/stream?n=5&broken")
        with self.assertRaises(http.client.IncompleteRead):
            connection.getresponse().read()
        connection.close()

    def test_client_that_goes(self):
        with Server() as server:
            connection = server.connect()
            connection.request("GET", "/flood")
            connection.sock.recv(1000)
            connection.close()
            self.assertEqual(server.process.stdout.readline(), "gone\n")

    def test_raw(self):
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as client:
            client.sendall(b"GET /raw HTTP/1.1\r\nHost: x\r\n\r\nearly")
            self.assertEqual(client.recv(6, socket.MSG_WAITALL), b"hello\n")
            client.sendall(b" late\n")
            self.assertEqual(client.recv(11, socket.MSG_WAITALL), b"EARLY LATE\n")
            self.assertEqual(client.recv(1), b"")


class Forks(unittest.TestCase):
    def test_child_holds_no_connection(self):
        """The answer's end is seen although the child lives, and the child answers nothing."""
        with Server() as server:
            with socket.create_connection(("127.0.0.1", server.port), 10) as client:
                client.sendall(b"GET /fork HTTP/1.0\r\n\r\n")
                started = time.monotonic()
                content = b""
                while True:
                    part = client.recv(65536)
                    if not part:
                        break
                    content += part
            self.assertLess(time.monotonic() - started, 3)
            os.kill(int(content.split(b"\r\n\r\n")[1]), signal.SIGKILL)
            self.assertEqual(server.json("/fork_back"), "from the parent")
            self.assertEqual(server.ask("/text")[0].status, 200)

    def test_programs_are_as_from_a_thread(self):
        with Server() as server:
            status = server.json("/run")
            self.assertRegex(status, r"SigBlk:\s+0+\n")


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.pem = os.path.join(cls.directory.name, "both.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", cls.pem, "-out", cls.pem + ".crt"], check=True, capture_output=True)
        with open(cls.pem, "a") as both, open(cls.pem + ".crt") as certificate:
            both.write(certificate.read())

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def test_each(self):
        for python in PYTHONS:
            with self.subTest(python=python), Server(python, tls=self.pem) as server:
                context = ssl.create_default_context(cafile=self.pem + ".crt")
                context.check_hostname = False
                connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=context)
                for _ in range(3):
                    connection.request("GET", "/text")
                    self.assertEqual(connection.getresponse().read(), "h\xe9".encode())
                connection.close()

    def test_what_is_no_context(self):
        program = """
import sys, socket, ssl; sys.path.insert(0, sys.argv[1]); import _engine
engine = _engine.Engine(_engine.Request, len, len, len)
listener = socket.socket(); listener.listen()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.sni_callback = lambda *_: None
for wrong in [object(), 7, 'x', context]:
    try: engine.listen(listener.fileno(), wrong)
    except ValueError as error: print(error)
"""
        done = subprocess.run([harness.PYTHON, "-c", program, PACKAGE], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.stdout.count("ssl.SSLContext"), 3, done)
        self.assertIn("sni_callback", done.stdout)


class Wrong(unittest.TestCase):
    """Arguments that are refused: nothing is changed then."""

    def test_configure(self):
        program = """
import sys; sys.path.insert(0, sys.argv[1]); import _engine
engine = _engine.Engine(_engine.Request, len, len, len)
for values in [{'nothing': 1}, {'max_body': -1}, {'max_body': 'x'}, {'idle_timeout': float('nan')}, {'white': 'abc'},
               {'favicon': 3},
               {'server_version': 'a\\r\\nb'}]:
    try: engine.configure(**values); print('taken', values)
    except ValueError: pass
engine.configure(max_body=5, idle_timeout=1, white=['*.html'], favicon='/x', cross_origin=True, parallel=True,
                 server_version='x/1')
for kind in [int, 'x']:
    try: _engine.Engine(kind, len, len, len); print('made')
    except TypeError: pass
try: engine.route('GET', '/', 'html', None, len); print('taken')
except ValueError: pass
engine.stop(); engine.serve(); print('done')
"""
        done = subprocess.run([harness.PYTHON, "-c", program, PACKAGE], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.stdout, "done\n", done.stderr)


if __name__ == "__main__":
    harness.main()
