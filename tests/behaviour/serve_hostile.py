"""Clients and handlers that do what they should not, against a script by `quicken serve`.

Whatever they do, others are answered meanwhile and afterwards; each request has one answer, or an end of its
connection that says that there is none; and nothing is left behind: no descriptor, file or process.
"""

import contextlib
import os
import re
import signal
import socket
import threading
import time
import unittest

import harness
import serving
from serve_malformed import read_all, take_answers

TIMEOUT = 30
SETTINGS = {"max_body": 3 << 20, "spool_size": 1 << 16, "body_timeout": 5, "header_timeout": 5}

SCRIPT = """
import os, sys, threading, time
server.add_text_get_mask('/pid', lambda req, args: str(os.getpid()))
server.add_json_post_mask('/json', lambda req, args: args['post'])

@server.json_post('/form')
def form(req, args):
    return {'post': args['post'], 'files': {name: len(file.read()) for name, file in args['files'].items()}}

server.json_worker('/worker')(lambda payload: payload)

@server.text_post('/raise')
def fail(req, args):
    raise KeyError(args['post'])

@server.text_post('/slow')
def slow(req, args):
    time.sleep(0.02)
    return req.rfile.read()

@server.text_post('/half')
def half(req, args):
    req.send_response(200)
    req.end_headers()
    req.wfile.write(b'half')
    raise ValueError('half')

@server.text_post('/short')
def short(req, args):
    req.send_response(200)
    req.send_header('Content-Length', 100)
    req.end_headers()
    req.wfile.write(b'short')

@server.text_post('/parts')
def parts(req, args):
    req.send_response(200)
    req.end_headers()
    for _ in range(30):
        req.wfile.write(b'x' * 50000)
        time.sleep(0.001)

@server.text_post('/flood')
def flood(req, args):
    req.send_response(200)
    req.end_headers()
    while True:
        req.wfile.write(b'x' * 50000)

@server.text_post('/rawflood')
def raw_flood(req, args):
    while True:
        req.wfile.write(b'x' * 50000)

@server.text_post('/raw')
def raw(req, args):
    req.wfile.write(b'raw')
    time.sleep(0.01)
    req.wfile.write(b'raw' * 100000)

@server.text_get('/recurse')
def recurse(req, args):
    return recurse(req, args)

@server.text_get('/hoard')
def hoard(req, args):
    return b'x' * (1 << 40)

@server.text_get('/leave')
def leave(req, args):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return 'left'

@server.text_get('/exit')
def leave_all(req, args):
    os._exit(3)

serve()
"""


def post(path, body=b"", fields=b"", length=None):
    return (b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + fields
            + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body)


CHUNKED = (b"POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n")


class Case(unittest.TestCase):
    """One script for a class; after each test it is as before."""

    text = SCRIPT
    files = ()

    @classmethod
    def setUpClass(cls):
        cls.site = serving.Site(cls.text, cls.files, **SETTINGS)
        cls.addClassCleanup(cls.site.close)

    def setUp(self):
        # What is logged of the test before has come once this line has.
        self.assertEqual(self.get("/pid?" + self.id()), str(self.site.pid))
        self.assertTrue(self.site.has_logged(self.id(), TIMEOUT), self.site.log)
        self.fds, self.log = self.site.fds(), len(self.site.log)

    def tearDown(self):
        self.assertEqual(self.get("/pid"), str(self.site.pid))
        harness.wait_until(lambda: self.site.fds() <= self.fds, TIMEOUT)
        names = []
        for fd in os.listdir(f"/proc/{self.site.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                names.append(os.readlink(f"/proc/{self.site.pid}/fd/{fd}"))
        self.assertLessEqual(len(names), self.fds, names)

    def get(self, path):
        answer = self.site.ask(path)
        self.assertEqual(answer.status, 200, answer)
        return answer.text

    def raw(self, data, end=False):
        with self.site.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def assert_no_traceback(self):
        new = self.site.log[self.log:]
        self.assertFalse(any("Traceback" in line for line in new), "\n".join(new))

    def statuses(self, data, end=False):
        return take_answers(self.raw(data, end))


class Clients(Case):
    def test_pipelined_posts_whose_handlers_raise(self):
        """Each has its own answer, in order."""
        requests = b"".join(post(path, b"abc") for path in (b"/raise", b"/slow", b"/raise", b"/none", b"/json") * 4)
        self.assertEqual(self.statuses(requests, True), (500, 200, 500, 404, 200) * 4)

    def test_behind_half_an_answer(self):
        for path in (b"/half", b"/short"):
            with self.subTest(path):
                got = self.raw(post(path) + post(b"/json") + post(b"/json"))
                self.assertEqual(got.count(b"HTTP/1.1"), 1)
                self.assertFalse(got.endswith(b"0\r\n\r\n"))

    def test_a_client_that_goes_at_every_stage(self):
        for path in (b"/slow", b"/parts", b"/half", b"/raw", b"/raise", b"/json", b"/form"):
            for stage in (0.0, 0.005, 0.015, 0.03):
                for size in (10, 100000):
                    for reset in (False, True):
                        with self.site.connect() as connection:
                            connection.sendall(post(path, b"a" * size))
                            time.sleep(stage)
                            if reset:
                                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def test_a_client_that_goes_is_no_error(self):
        """Of a handler that writes to it: the log has a line, no traceback."""
        for path in (b"/parts", b"/raw", b"/flood", b"/rawflood"):
            with self.site.connect() as connection:
                connection.sendall(post(path + b"?gone"))
                self.assertTrue(connection.recv(1))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.assertTrue(self.site.has_logged(f'"POST {path.decode()}?gone ', TIMEOUT), self.site.log)
        harness.wait_until(lambda: self.site.fds() <= self.fds, TIMEOUT)
        self.assert_no_traceback()

    def test_bodies_that_end_early(self):
        for path in (b"/json", b"/form", b"/none"):
            for sent in (0, 1, 70000, 1 << 20):
                with self.subTest(path, sent=sent):
                    got = self.raw(post(path, b"a" * sent, length=(1 << 20) + 1), True)
                    self.assertIn(take_answers(got), [(400,), (404,)])

    def test_larger_than_allowed(self):
        """The answer is read by a client that sends everything first, and the connection ends or goes on as it says."""
        size = (3 << 20) + 1
        for body, fields in ((b"a" * size, b""), (b"a" * (8 << 20), b""), (b"a" * size, b"Expect: 100-continue\r\n")):
            got = self.raw(post(b"/json", body, fields) + post(b"/json", b"{}"))
            self.assertEqual(take_answers(got), (413,))
            self.assertIn(b"\r\nConnection: close\r\n", got)
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        self.assertEqual(self.statuses(CHUNKED + chunk * 60 + b"0\r\n\r\n"), (413,))

    def test_expect(self):
        for value, body, status in ((b"100-continue", b"", 200), (b"100-continue", b"{}", 200),
                                    (b"200-ok", b"{}", 417)):
            with self.subTest(value, body=body):
                fields = b"Expect: " + value + b"\r\nConnection: close\r\n"
                self.assertEqual(self.statuses(post(b"/json", body, fields)), (status,))
        with self.site.connect() as connection:  # waits for the 100, then never sends
            connection.sendall(post(b"/json", length=5, fields=b"Expect: 100-continue\r\n"))
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 100 "))
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(take_answers(read_all(connection)), (400,))

    def test_trailers(self):
        for trailer in (b"", b"X: y\r\n", b"Content-Type: text/plain\r\n", b"Host: y\r\n", b"Connection: close\r\n",
                        b"X: y\r\n" * 50):
            with self.subTest(trailer):
                body = b"4\r\n[1,2\r\n1\r\n]\r\n0\r\n" + trailer + b"\r\n"
                self.assertIn(self.statuses(CHUNKED + body + post(b"/raise"), True), [(200, 500), (400,)])

    def test_multipart(self):
        kind = b"Content-Type: multipart/form-data; boundary=b\r\nConnection: close\r\n"
        part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n%s\r\n%s\r\n'
        file = b"Content-Type: a/b\r\n"
        for name, body, status in (
                ("duplicates", part % (b"a", b"", b"1") * 999 + b"--b--", 200),
                ("duplicate files", part % (b"a", file, b"1" * 1000) * 999 + b"--b--", 200),
                ("large files", part % (b"a", file, b"1" * (300 << 10)) * 9 + b"--b--", 200),
                ("nested", part % (b"a", b"Content-Type: multipart/mixed; boundary=c\r\n", b"--c\r\n\r\n--c--")
                 + b"--b--", 200),
                ("no end", part % (b"a", file, b"1" * (1 << 20)), 400),
                ("boundaries only", b"--b\r\n" * 200000, 400),
                ("almost boundaries", part % (b"a", b"", b"\r\n--" * 500000) + b"--b--", 200),
                ("an epilogue", part % (b"a", b"", b"1") + b"--b--" + b"x" * 1000000, 200),
                ("a preamble", b"x" * 1000000 + b"\r\n" + part % (b"a", b"", b"1") + b"--b--", 200)):
            with self.subTest(name):
                self.assertEqual(self.statuses(post(b"/form", body, kind)), (status,))
        self.assert_no_traceback()

    def test_json(self):
        kind = b"Content-Type: application/json\r\nConnection: close\r\n"
        for body, status in ((b"[" * 100000, 400), (b'{"a":' * 100000, 400), (b"1" * 5000, 400), (b'"\\ud800"', 200),
                             (b"\xff", 400), (b"\xef\xbb\xbf1", 200), ("[1]".encode("utf-16"), 200), (b"NaN", 200),
                             (b"1e999", 200), (b" " * 100000, 400), (b'{"a":1,"a":2}', 200), (b"[]\0", 400),
                             (b"[" + b"[]," * 500000 + b"1]", 200)):
            with self.subTest(body[:40]):
                self.assertEqual(self.statuses(post(b"/json", body, kind)), (status,))
        for depth in range(900, 1100):
            self.assertIn(self.statuses(post(b"/slow", b"[" * depth + b"]" * depth, kind)), [(200,), (400,)], depth)
        self.assert_no_traceback()

    def test_workers(self):
        """What is no action or token is told so, and nothing of it is kept."""
        def ask(body):
            return self.site.ask("/worker", "POST", body, {"Content-Type": "application/json"}).status
        self.assertEqual(ask(b'{"action": "start"}'), 200)
        self.fds = self.site.fds()  # from the first job on there is a socket for successors
        for body in (b"", b"null", b"[]", b"1", b'{"action": []}', b'{"action": "get", "token": []}',
                     b'{"action": "stop", "token": {}}'):
            self.assertEqual(ask(body), 400, body)
        for token in (b"null", b"1", b'"\\ud800"', b'"' + b"0" * 40 + b'"', b'"\\u0000"', b'"' + b"a" * 1000000 + b'"'):
            self.assertEqual(ask(b'{"action": "get", "token": ' + token + b"}"), 200)
            self.assertEqual(ask(b'{"action": "cargo", "token": ' + token + b"}"), 404)
        for depth in range(900, 1000):
            self.assertEqual(ask(b'{"action": "get", "token": ' + b"[" * depth + b"]" * depth + b"}"), 400)
        self.assert_no_traceback()

    def test_slow_senders_hold_up_nobody(self):
        with contextlib.ExitStack() as stack:
            begun = [b"P", b"POST /json HTT", post(b"/json", b"a" * 10, length=1000),
                     post(b"/form", b"a" * 100000, length=1 << 20)]
            for i in range(200):
                stack.enter_context(self.site.connect()).sendall(begun[i % 4])
            for _ in range(20):
                self.get("/pid")

    def test_fifty_at_once(self):
        requests = [(b"/json", b"[1]", 200), (b"/slow", b"a" * 100000, 200), (b"/raise", b"x", 500), (b"/half", b"", 0),
                    (b"/parts", b"", 200), (b"/raw", b"", 0), (b"/form", b"a" * 70000, 200), (b"/none", b"", 404)]
        wrong = []

        def client(number):
            for i in range(16):
                path, body, status = requests[(number + i) % len(requests)]
                got = self.raw(post(path, body, b"Connection: close\r\n"))
                if status and not got.startswith(b"HTTP/1.1 %d " % status) or got.count(b"HTTP/1.1 ") > 1:
                    wrong.append((path, got[:200]))
        threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Handlers(Case):
    def test_recursion_and_memory(self):
        self.assertEqual(self.site.ask("/recurse").status, 500)
        self.assertEqual(self.site.ask("/hoard").status, 500)

    def test_exit(self):
        """Who has asked hears nothing; all others are answered by the next process."""
        with self.assertRaises(ConnectionError):
            self.site.ask("/exit")
        self.assertTrue(harness.wait_until(lambda: self.get("/pid") == str(self.site.pid), TIMEOUT))


class NoRoom(Case):
    """Where no file can be made for what is too large to be kept in memory."""
    text = "import os\nos.environ['TMPDIR'] = '/nonexistent'\n" + SCRIPT

    def test_body(self):
        """It is refused, the log says why, and smaller ones are taken."""
        for size, status in ((1 << 16, 200), ((1 << 16) + 1, 500), (1 << 16, 200)):
            answer = self.site.ask("/slow", "POST", b"x" * size)
            self.assertEqual(status, answer.status)
            self.assertEqual(status == 500, b"The body could not be stored" in answer.body)
        lines = [line for line in self.site.log if line.endswith("a body could not be stored: No such file or directory")]
        self.assertEqual(1, len(lines), self.site.log)


class Storm(unittest.TestCase):
    """Clients with manners and without, while the script is edited, dies, or is stopped."""

    def setUp(self):
        self.site = serving.Site(SCRIPT, **SETTINGS)
        self.addCleanup(self.site.close)
        self.stop, self.answers, self.pids = threading.Event(), [], {self.site.pid}
        clients = [self.ask] * 12 + [self.pipeline] * 4 + [self.misbehave] * 8
        threads = [threading.Thread(target=client, args=(number,)) for number, client in enumerate(clients)]
        self.addCleanup(lambda: [thread.join() for thread in threads])
        self.addCleanup(self.stop.set)
        for thread in threads:
            thread.start()
        self.assertTrue(harness.wait_until(lambda: len(self.answers) > 50, TIMEOUT))

    def note(self, sent, expected):
        """What has come for requests of which the last one ends the connection."""
        with contextlib.suppress(OSError), self.site.connect() as connection:
            connection.sendall(sent)
            got = read_all(connection)
            try:
                whole = take_answers(got) == expected
            except ValueError:
                whole = False
            begun = tuple(int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", got))
            self.answers.append((sent[:20], expected, begun, whole))

    def ask(self, number):
        requests = ((b"/json", b"[1]", 200), (b"/slow", b"a" * 100000, 200), (b"/raise", b"x", 500),
                    (b"/parts", b"", 200), (b"/form", b"a" * 70000, 200), (b"/none", b"", 404))
        while not self.stop.wait(0.01):
            path, body, status = requests[number % len(requests)]
            self.note(post(path, body, b"Connection: close\r\n"), (status,))
            number += 1

    def pipeline(self, number):
        del number
        while not self.stop.wait(0.01):
            self.note(post(b"/json", b"[1]") + post(b"/raise") + post(b"/json", fields=b"Connection: close\r\n"),
                      (200, 500, 200))

    def misbehave(self, number):
        begun = (post(b"/slow", b"a" * 100000), post(b"/json", b"a" * 200000, length=300000), b"POST /js",
                 post(b"/parts"), post(b"/raw"), CHUNKED + b"5;")
        while not self.stop.is_set():
            with contextlib.suppress(OSError), self.site.connect() as connection:
                connection.sendall(begun[number % len(begun)])
                self.stop.wait(0.03)
            number += 1

    def starts(self):
        return sum(line.startswith("pid ") for line in self.site.lines)

    def assert_started_anew(self, before):
        self.assertTrue(harness.wait_until(lambda: self.starts() > before, TIMEOUT), self.site.log)
        self.pids.add(self.site.pid)
        count = len(self.answers)
        self.assertTrue(harness.wait_until(lambda: len(self.answers) > count + 50, TIMEOUT))

    def assert_no_other_answers(self):
        """What has come for a request is the begin of what was to come."""
        self.assertEqual([one for one in self.answers if one[2] != one[1][:len(one[2])]], [])

    def assert_ended(self, pids):
        self.assertTrue(harness.wait_until(lambda: not any(map(harness.process_state, pids)), TIMEOUT), pids)

    def test_edits_and_reloads(self):
        """No request is lost."""
        for i in range(3):
            before = self.starts()
            if i == 1:
                self.site.process.send_signal(signal.SIGHUP)
            else:
                path = self.site.bed.path("site.py")
                with open(path) as old, open(path + ".new", "w") as new:
                    new.write(old.read() + "\n")
                os.rename(path + ".new", path)
            self.assert_started_anew(before)
        self.stop.set()
        self.assertEqual([one for one in self.answers if not one[3]], [])
        self.assert_ended(self.pids - {self.site.pid})

    def test_deaths(self):
        """Requests of the process that dies are cut; all others have their one answer."""
        for _ in range(2):
            before = self.starts()
            with contextlib.suppress(ConnectionError):
                self.site.ask("/exit")
            self.assert_started_anew(before)
        self.stop.set()
        self.assert_no_other_answers()
        self.assertEqual(self.site.ask("/pid").text, str(self.site.pid))
        self.assert_ended(self.pids - {self.site.pid})

    def test_stop(self):
        self.site.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.site.process.wait(TIMEOUT), 0)
        self.stop.set()
        self.assert_no_other_answers()
        self.assert_ended(self.pids)


class FewThreads(Case):
    """The process has address space for a few threads only."""

    text = """
        import ctypes, os, resource, threading, time
        ctypes.CDLL(None).mallopt(-8, 1)  # M_ARENA_MAX: a thread takes its stack, and gives all of it back
        server.add_text_get_mask('/pid', lambda req, args: str(os.getpid()))

        @server.text_get('/slow')
        def slow(req, args):
            time.sleep(0.2)
            return 'slow'

        freed = threading.Event()

        @server.text_get('/use')
        def use(req, args):
            try:
                while True:
                    threading.Thread(target=freed.wait, daemon=True).start()
            except RuntimeError:
                return 'used'

        @server.text_get('/free')
        def free(req, args):
            freed.set()
            return 'freed'

        server.json_worker('/worker')(lambda payload: payload)
        server.bind_path('/', 'www')
        server.bind_proxy('/proxy/', 'http://localhost:%d/' % server.server_port)
        with open('/proc/self/statm') as file:
            size = int(file.read().split()[0]) * resource.getpagesize() + (150 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        serve()
        """

    files = {"www/large": b"x" * 1000000}

    def test_engines_own_threads(self):
        """Those in which names of hosts are looked up, checksums made, and workers run."""
        self.assertEqual(self.get("/use"), "used")
        self.assertEqual(self.site.ask("/large").status, 503)
        self.assertEqual(self.site.ask("/proxy/pid").status, 502)
        start = ("/worker", "POST", b'{"action": "start"}', {"Content-Type": "application/json"})
        self.assertEqual(self.site.ask(*start).status, 503)
        self.assertTrue(self.site.has_logged("worker /worker: can't start new thread"), self.site.log)
        self.assert_no_traceback()
        self.get("/free")
        for path in ("/large", "/proxy/pid"):
            self.assertTrue(harness.wait_until(lambda: self.site.ask(path).status == 200, TIMEOUT), self.site.log[-9:])
        self.assertTrue(harness.wait_until(lambda: self.site.ask(*start).status == 200, TIMEOUT), self.site.log[-9:])
        self.fds = self.site.fds()  # with the proxy's connection, which is kept, and the workers' socket

    def test_more_requests_than_threads(self):
        got = []
        threads = [threading.Thread(target=lambda: got.append(self.get("/slow"))) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(got, ["slow"] * 60)
        self.assertTrue(self.site.has_logged("there are no more threads"))


if __name__ == "__main__":
    harness.main()
