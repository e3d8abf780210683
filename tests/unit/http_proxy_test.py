"""The proxy between independent clients and back ends that this test plays.

Usage: http_proxy_test.py HTTP_PROXY_SERVER [unittest arguments]
"""

import asyncio
import collections
import contextlib
import hashlib
import http.client
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import websockets

SERVER = os.path.abspath(sys.argv[1])
TIMEOUT = 20  # seconds that anything may take

Request = collections.namedtuple("Request", "method target fields body chunked")


def read_request(stream):
    """A whole request, or None at the connection's end."""
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split()
    fields = []
    for line in iter(stream.readline, b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        fields.append((name.lower(), value.strip()))
    values = dict(fields)
    chunked = values.get("transfer-encoding") == "chunked"
    body = bytearray(stream.read(int(values.get("content-length", 0))))
    while chunked:
        size = int(stream.readline(), 16)
        body += stream.read(size)
        stream.readline()
        if not size:
            break
    return Request(method, target, fields, bytes(body), chunked)


class BackEnd:
    """`answer(request, socket, number of the request)` for each request; the connection ends if it returns False.
    With request None: the connection has just been accepted."""

    def __init__(self, answer, context=None, greet=False):
        self.answer, self.context, self.greet = answer, context, greet
        self.requests, self.connections, self.ended = [], 0, threading.Semaphore(0)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.settimeout(TIMEOUT)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.open.add(connection)
            with connection, connection.makefile("rb") as stream:
                if self.greet:
                    self.answer(None, connection, 0)
                while not self.greet:
                    request = read_request(stream)
                    if request is None:
                        break
                    self.requests.append(request)
                    if self.answer(request, connection, len(self.requests)) is False:
                        break
        except (OSError, ValueError):
            pass  # the proxy has gone: that is what some tests are about
        finally:
            self.open.discard(connection)
            self.ended.release()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def ok(request, connection, _):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def raw(answer, close=True):
    def send(_, connection, __):
        connection.sendall(answer)
        return not close
    return send


class Case(unittest.TestCase):
    def proxy(self, *arguments, **environment):
        log = tempfile.TemporaryFile()
        process = subprocess.Popen([SERVER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                   env={**os.environ, **environment})
        self.addCleanup(self.end, process, log)
        self.process, self.port = process, int(process.stdout.readline() or 0)
        return process

    def end(self, process, log):
        """It ends by itself, and a sanitizer has nothing to say."""
        process.stdin.close()
        process.stdout.close()
        try:
            status = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = "killed: it did not end"
        log.seek(0)
        text = log.read().decode(errors="replace")
        log.close()
        self.assertEqual(status, 0, text[-4000:])

    def back_end(self, answer=ok, *settings, rule="/b/", path="", **options):
        back_end = BackEnd(answer, **options)
        self.addCleanup(back_end.close)
        scheme, host = ("https", "localhost") if options.get("context") else ("http", "127.0.0.1")
        self.proxy(*settings, f"{rule}={scheme}://{host}:{back_end.port}{path}")
        return back_end

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        self.addCleanup(connection.close)
        return connection

    def client(self):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        self.addCleanup(client.close)
        return client

    def ask(self, method="GET", target="/b/", body=None, fields={}, client=None, **options):
        client = client or self.client()
        client.request(method, target, body, fields, **options)
        answer = client.getresponse()
        answer.content = answer.read()
        return answer

    def raw(self, request):
        """All that comes until the connection's end."""
        connection = self.connect()
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            return stream.read()

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Requests(Case):
    def test_every_method_with_its_body(self):
        back_end = self.back_end()
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH"):
            body = None if method in ("GET", "OPTIONS") else b"body of " + method.encode()
            with self.subTest(method):
                self.assertEqual(self.ask(method, "/b/x?y=1", body).content, b"ok")
                got = back_end.requests[-1]
                self.assertEqual((got.method, got.target, got.body), (method, "/x?y=1", body or b""))

    def test_a_body_comes_framed_as_it_was_sent(self):
        back_end = self.back_end()
        self.ask("POST", body=iter([b"one", b"two"]), encode_chunked=True, fields={"Transfer-Encoding": "chunked"})
        self.assertEqual((back_end.requests[-1].body, back_end.requests[-1].chunked), (b"onetwo", True))
        self.ask("POST", body=b"onetwo")
        self.assertEqual((back_end.requests[-1].body, back_end.requests[-1].chunked), (b"onetwo", False))
        self.ask("POST", body=b"")
        self.assertIn(("content-length", "0"), back_end.requests[-1].fields)

    def test_fields_of_the_connection_end_here(self):
        back_end = self.back_end()
        self.raw(b"GET /b/ HTTP/1.1\r\nHost: front.example:81\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
                 b"Keep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: trailers\r\nTrailer: a\r\n"
                 b"Upgrade: h2c\r\nX-Stays: a b\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Host: evil\r\n"
                 b"X-Forwarded-Proto: https\r\nVia: 1.0 fred\r\n\r\n")
        self.assertEqual(sorted(back_end.requests[0].fields), [
            ("host", f"127.0.0.1:{back_end.port}"), ("via", "1.0 fred"), ("via", "1.1 quicken"),
            ("x-forwarded-for", "9.9.9.9, 127.0.0.1"), ("x-forwarded-host", "front.example:81"),
            ("x-forwarded-proto", "http"), ("x-stays", "a b")])

    def test_a_small_chunk_is_not_held_back(self):
        """Of one byte, of two: each is there before the next is sent."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.proxy("/b/=http://127.0.0.1:%d" % listener.getsockname()[1])
        client = self.connect()
        client.sendall(b"POST /b/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection, _ = listener.accept()
        self.addCleanup(connection.close)
        connection.settimeout(TIMEOUT)
        with connection.makefile("rb") as stream:
            while stream.readline() != b"\r\n":
                pass
            for part in (b"a", b"bb", b"c", b"dddd"):
                client.sendall(b"%x\r\n%s\r\n" % (len(part), part))
                self.assertEqual(stream.readline(), b"%x\r\n" % len(part))
                self.assertEqual(stream.read(len(part) + 2), part + b"\r\n")

    def test_expect_is_answered_here(self):
        back_end = self.back_end()
        connection = self.connect()
        connection.sendall(b"POST /b/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        self.assertEqual(connection.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"abc")
        self.assertIn(b" 200 OK\r\n", connection.recv(1000))
        self.assertEqual(back_end.requests[0].body, b"abc")
        self.assertNotIn("expect", dict(back_end.requests[0].fields))

    def test_targets(self):
        back_end = self.back_end(path="/base")
        for sent, expected in (("/b/", "/base/"), ("/b/a%20b%2Fc//d?x=/../", "/base/a%20b%2Fc//d?x=/../"),
                               ("/b/x/../y?q", "/base/y?q"), ("/b/x/%2e%2e/y", "/base/y"),
                               ("/b/../b/z", "/base/z"), ("/b/..%2fb/z%20", "/base/z%20"),
                               ("/%62/%7e%22", "/base/~%22"), ("/x/../b/%c3%a9", "/base/%C3%A9"),
                               ("/./b/y", "/base/y"), ("http://other/b/w", "/base/w")):
            with self.subTest(sent):
                self.assertEqual(self.ask(target=sent).status, 200)
                self.assertEqual(back_end.requests[-1].target, expected)
        self.assertEqual(self.ask(target="/b").status, 404)
        self.assertEqual(self.ask(target="/bb/").status, 404)
        self.assertEqual(self.ask(target="/b/../x").status, 404)

    def test_the_rule_bound_last_is_first(self):
        one, two = BackEnd(ok), BackEnd(ok)
        self.addCleanup(one.close)
        self.addCleanup(two.close)
        url = "http://127.0.0.1:{}".format
        self.proxy(f"/={url(one.port)}", f"/a/={url(two.port)}/deep/", f"/a/b/={url(one.port)}")
        for target, back_end, expected in (("/x", one, "/x"), ("/a/x", two, "/deep/x"), ("/a/b/x", one, "/x")):
            self.ask(target=target)
            self.assertEqual(back_end.requests[-1].target, expected)

    def test_rules_that_are_refused(self):
        for rule in ("/b/=ftp://x/", "/b=http://x/", "b/=http://x/", "/b/=http://", "/b/=http://x:0/",
                     "/b/=http://x:65536/", "/b/=http://x:1x/", "/b/=http://u@x/", "/b/=http://x/?q",
                     "/b/=http://[::1/", "/b/=http://[::1]x/", "/b/=http://a b/"):
            with self.subTest(rule):
                run = subprocess.run([SERVER, rule], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
                self.assertEqual((run.returncode, run.stdout), (1, b""))
                self.assertIn(b"proxy ", run.stderr)

    def test_a_proxy_to_itself_ends(self):
        self.proxy("/b/=http://127.0.0.1:%/b/")
        self.assertEqual(self.ask().status, 508)


class Answers(Case):
    def test_fields_of_the_connection_end_here(self):
        self.back_end(raw(b"HTTP/1.1 418 Short\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nServer: them\r\n"
                          b"Proxy-Authenticate: x\r\nTrailer: x\r\nUpgrade: x\r\nX-Stays: a\r\nSet-Cookie: a=1\r\n"
                          b"Set-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi"))
        answer = self.ask()
        self.assertEqual((answer.status, answer.reason, answer.content), (418, "Short", b"hi"))
        names = [name.lower() for name, _ in answer.getheaders()]
        for name in ("x-mine", "keep-alive", "proxy-authenticate", "trailer", "upgrade", "transfer-encoding"):
            self.assertNotIn(name, names)
        self.assertEqual(answer.headers.get_all("Set-Cookie"), ["a=1", "b=2"])
        self.assertEqual(answer.headers.get_all("Content-Length"), ["2"])
        self.assertEqual(answer.headers.get_all("X-Stays"), ["a"])
        self.assertEqual(len(answer.headers.get_all("Date")), 1)
        self.assertEqual(answer.headers.get_all("Server"), ["them"])

    def test_a_redirect_to_the_back_ends_own_name(self):
        location = ""

        def redirect(_, connection, __):
            connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        back_end = self.back_end(redirect, path="/base/")
        own = f"http://127.0.0.1:{back_end.port}"
        for location, expected in ((f"{own}/base/x?y", "/b/x?y"), (f"{own}/base/", "/b/"), ("/base/x", "/base/x"),
                                   (f"{own}/other", f"{own}/other"), ("http://else/base/", "http://else/base/")):
            self.assertEqual(self.ask().headers["Location"], expected)

    def test_ways_to_end_a_body(self):
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
        for name, answer, content in (
                ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
                ("close", b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"), ("1.0", b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
                ("empty", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""), ("chunked", chunked, b"abcde"),
                ("no reason", b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", b"x"),
                ("204", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
                ("304", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 7\r\n\r\n", b""),
                ("interim", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + chunked, b"abcde")):
            for slowly in (False, True):
                with self.subTest(name, slowly=slowly):
                    self.check_body(answer, content, slowly)

    def check_body(self, answer, content, slowly):
        def send(_, connection, __):
            for i in range(0, len(answer), 1 if slowly else len(answer)):
                connection.sendall(answer[i:i + (1 if slowly else len(answer))])
                time.sleep(0.0005 if slowly else 0)
            return False
        self.back_end(send)
        client = self.client()
        got = self.ask(client=client)
        self.assertEqual(got.content, content)
        self.assertEqual(self.ask(client=client).content, content)  # and the connection goes on

    def test_head(self):
        self.back_end(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", close=False))
        client = self.client()
        for _ in range(2):
            answer = self.ask("HEAD", client=client)
            self.assertEqual((answer.status, answer.headers["Content-Length"], answer.content), (200, "12345", b""))

    def test_an_old_client_gets_no_chunks(self):
        self.back_end(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
        head, _, body = self.raw(b"GET /b/ HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
        self.assertEqual(body, b"abc")
        self.assertNotIn(b"chunked", head)

    def test_a_status_line_without_a_reason(self):
        """The blank that would be before it may be missing, also in an answer before the answer."""
        whole = b"HTTP/1.1 100\r\n\r\nHTTP/1.1 201\r\nContent-Length: 2\r\n\r\nok"

        def bit_by_bit(_, connection, __):
            for byte in whole:
                connection.sendall(bytes([byte]))
            return True
        for answer in (raw(whole, close=False), bit_by_bit, raw(b"HTTP/1.0 201\r\n\r\nok")):
            self.back_end(answer)
            result = self.ask()
            self.assertEqual((result.status, result.reason, result.content), (201, "Created", b"ok"))

    def test_what_is_no_answer(self):
        for answer in (b"", b"junk\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"\0" * 99,
                       b"HTTP/1.1 20\r\n\r\n", b"HTTP/1.1 2000\r\n\r\n", b"HTTP/1.1\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
                       b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 99 Low\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                       b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
                       b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000 + b"\r\n\r\n"):
            with self.subTest(answer[:60]):
                self.back_end(raw(answer))
                self.assertEqual(self.ask().status, 502)

    def test_a_line_without_an_end(self):
        """Of a chunk's size, its extensions, the trailers: no more is kept of it than its limit."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for start in (b"3;", b"0", b"0\r\nX: "):
            filler = b"0" if start == b"0" else b"a"
            with self.subTest(start, at_once=True):
                self.back_end(raw(head + start + filler * 20000, close=False))
                self.assertEqual(self.ask().status, 502)
            sent, go = [], threading.Event()

            def send(_, connection, __):
                connection.sendall(head + b"3\r\nabc\r\n" + start)
                go.wait(TIMEOUT)
                while len(sent) < 500:
                    connection.sendall(filler * 65536)
                    sent.append(1)
                return False
            with self.subTest(start, at_once=False):
                back_end = self.back_end(send)
                client = self.client()
                client.request("GET", "/b/")
                answer = client.getresponse()
                go.set()
                with self.assertRaises(http.client.IncompleteRead) as caught:
                    answer.read()
                self.assertEqual(caught.exception.partial, b"abc")
                self.assertTrue(back_end.ended.acquire(timeout=TIMEOUT))
                self.assertLess(len(sent), 300)

    def test_lines_within_their_limits(self):
        filler = b"a" * 10000
        self.back_end(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;" + filler + b"\r\nabc\r\n0\r\nX: "
                          + filler + b"\r\n\r\n"))
        self.assertEqual(self.ask().content, b"abc")

    def test_a_break_midway_is_seen(self):
        for head, part, last in ((b"Content-Length: 10", b"abc", b""),
                                 (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n", b""),
                                 (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n", b"xx\r\n")):
            def send(_, connection, __):
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + part)
                time.sleep(0.1)
                connection.sendall(last)
                return False
            with self.subTest(head, part=part, last=last):
                self.back_end(send)
                with self.assertRaises(http.client.IncompleteRead) as caught:
                    self.ask()
                self.assertEqual(caught.exception.partial, b"abc")

    def test_parts_come_as_they_are_sent(self):
        go = threading.Event()

        def send(_, connection, __):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            go.wait(TIMEOUT)
            connection.sendall(b"data: 2\n\n")
            return False
        self.back_end(send)
        client = self.client()
        client.request("GET", "/b/")
        answer = client.getresponse()
        self.assertEqual(answer.read1(100), b"data: 1\n\n")
        go.set()
        self.assertEqual(answer.read(), b"data: 2\n\n")

    def test_a_small_chunk_is_not_held_back(self):
        """A chunk's size, bytes and line end in packets of their own: the next chunk is not waited for."""
        go = threading.Event()

        def send(_, connection, __):
            for part in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n", b"a", b"\r\n"):
                connection.sendall(part)
                time.sleep(0.05)
            go.wait(TIMEOUT)
            for part in (b"0\r", b"\n", b"\r", b"\n"):
                connection.sendall(part)
                time.sleep(0.05)
        self.back_end(send)
        client = self.client()
        client.request("GET", "/b/")
        answer = client.getresponse()
        self.assertEqual(answer.read1(100), b"a")
        go.set()
        self.assertEqual(answer.read(), b"")


class Streaming(Case):
    SIZE = 40 << 20

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_a_large_body_each_way(self):
        content = os.urandom(1 << 20) * 24

        def mirror(request, connection, _):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(0, len(request.body), 100000):
                part = request.body[i:i + 100000]
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            connection.sendall(b"0\r\n\r\n")
        self.back_end(mirror)
        answer = self.ask("POST", body=content)
        self.assertEqual(hashlib.sha1(answer.content).digest(), hashlib.sha1(content).digest())

    def test_a_client_that_does_not_read_stops_the_back_end(self):
        """40 MiB are sent: without back-pressure they would be in the proxy's memory."""
        sent = [0]

        def send(_, connection, __):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self.SIZE)
            while sent[0] < self.SIZE:
                sent[0] += connection.send(bytes(min(1 << 16, self.SIZE - sent[0])))
        self.back_end(send)
        before = self.rss()
        connection = self.connect()
        connection.sendall(b"GET /b/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(1)
        self.assertLess(sent[0], self.SIZE * 3 / 4)
        self.assertLess(self.rss() - before, self.SIZE / 2)  # sanitizers keep what was freed
        with connection.makefile("rb") as stream:
            self.assertEqual(len(stream.read().partition(b"\r\n\r\n")[2]), self.SIZE)

    def test_a_back_end_that_does_not_read_stops_the_client(self):
        go = threading.Event()

        def wait(_, connection, __):
            go.wait(TIMEOUT)
            left = self.SIZE
            while b"\r\n\r\n" not in (head := connection.recv(1 << 16)):
                pass
            left -= len(head.partition(b"\r\n\r\n")[2])
            while left > 0:
                left -= len(connection.recv(1 << 20))
            ok(None, connection, 0)
        self.back_end(wait, greet=True)
        before = self.rss()
        connection = self.connect()
        connection.sendall(b"POST /b/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % self.SIZE)
        connection.settimeout(1)
        sent = 0
        with contextlib.suppress(socket.timeout):
            while sent < self.SIZE:
                sent += connection.send(bytes(min(1 << 16, self.SIZE - sent)))
        self.assertLess(sent, self.SIZE * 3 / 4)
        self.assertLess(self.rss() - before, self.SIZE / 2)  # sanitizers keep what was freed
        go.set()
        connection.settimeout(TIMEOUT)
        connection.sendall(bytes(self.SIZE - sent))
        self.assertIn(b" 200 OK\r\n", connection.recv(1000))

    def test_an_answer_before_the_whole_request(self):
        def refuse(_, connection, __):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            time.sleep(0.3)
        back_end = self.back_end(refuse, greet=True)
        connection = self.connect()
        connection.sendall(b"POST /b/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nabc")
        self.assertIn(b" 413 Too Large\r\n", connection.recv(1000))
        self.assertTrue(back_end.ended.acquire(timeout=TIMEOUT))


class Connections(Case):
    def test_one_connection_serves_many_requests(self):
        back_end = self.back_end()
        for _ in range(5):
            self.ask()
        self.ask("POST", body=b"x")
        self.assertEqual((back_end.connections, len(back_end.requests)), (1, 6))

    def test_a_connection_that_was_closed_while_idle_is_not_used(self):
        back_end = self.back_end(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", close=True))
        for method in ("GET", "POST", "GET"):
            self.assertEqual(self.ask(method, body=b"x" if method == "POST" else None).content, b"ok")
            self.assertTrue(back_end.ended.acquire(timeout=TIMEOUT))
        self.assertEqual(back_end.connections, 3)

    def test_bytes_nobody_asked_for_are_no_answer(self):
        """A back end that says 408 to an idle connection: that is not the next request's answer."""
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        back_end = self.back_end(raw(answer + b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n", close=False))
        for _ in range(2):
            self.assertEqual(self.ask().content, b"ok")
        self.assertEqual(back_end.connections, 2)

    def test_a_stale_connection(self):
        """Closed as the second request arrives: only what does no harm twice is sent again."""
        def close_on_second(request, connection, number):
            if number % 2 == 0:
                return False
            ok(request, connection, number)
            return True
        back_end = self.back_end(close_on_second)
        self.assertEqual([self.ask().status for _ in range(2)], [200, 200])
        self.assertEqual((back_end.connections, len(back_end.requests)), (2, 3))
        self.assertEqual(self.ask("POST").status, 502)
        self.assertEqual(len(back_end.requests), 4)
        self.ask()
        self.assertEqual(self.ask("PUT", body=b"x").status, 502)

    def test_a_stale_connection_that_has_begun_to_answer(self):
        def half(request, connection, number):
            if number % 2 == 0:
                connection.sendall(b"HTTP/1.1 2")
                return False
            ok(request, connection, number)
        back_end = self.back_end(half)
        self.assertEqual([self.ask().status for _ in range(2)], [200, 502])
        self.assertEqual(len(back_end.requests), 2)

    def test_the_client_goes(self):
        came = threading.Event()

        def wait(_, connection, __):
            came.set()
            self.assertEqual(connection.recv(1), b"")
            return False
        back_end = self.back_end(wait)
        connection = self.connect()
        connection.sendall(b"GET /b/ HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(came.wait(TIMEOUT))
        connection.close()
        self.assertTrue(back_end.ended.acquire(timeout=5))

    def test_the_client_goes_midway(self):
        def endless(_, connection, __):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(bytes(1 << 16))
        back_end = self.back_end(endless)
        connection = self.connect()
        connection.sendall(b"GET /b/ HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(1 << 16)
        connection.close()
        self.assertTrue(back_end.ended.acquire(timeout=5))

    def test_the_client_goes_within_its_body(self):
        back_end = self.back_end()
        connection = self.connect()
        connection.sendall(b"POST /b/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        time.sleep(0.2)
        connection.close()
        self.assertTrue(back_end.ended.acquire(timeout=5))

    def test_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.proxy(f"/b/=http://127.0.0.1:{port}", f"/l/=http://localhost:{port}", "/n/=http://nowhere.invalid/")
        client = self.client()
        for target in ("/b/", "/l/", "/n/", "/b/"):
            answer = self.ask(target=target, client=client)
            self.assertEqual(answer.status, 502)
            self.assertIn(b"The back end cannot be reached", answer.content)

    def test_a_back_end_that_takes_no_connection(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            with contextlib.ExitStack() as stack:
                for _ in range(3):  # the queue is full: the kernel drops what else comes
                    queued = stack.enter_context(socket.socket())
                    queued.setblocking(False)
                    queued.connect_ex(listener.getsockname())
                self.proxy("--set", "connect_timeout=0.3", f"/b/=http://127.0.0.1:{listener.getsockname()[1]}")
                self.assertEqual(self.ask().status, 504)

    def test_a_slow_back_end(self):
        def slow(request, connection, _):
            if request.target == "/head":
                connection.sendall(b"HTTP/1.1 200 ")
            if request.target == "/body":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            if request.target == "/drops":  # never longer than the limit between two bytes
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
                return
            connection.recv(1)
            return False
        back_end = self.back_end(slow, "--set", "proxy_timeout=0.4")
        for target in ("/b/", "/b/head"):
            self.assertEqual(self.ask(target=target).status, 504)
            self.assertTrue(back_end.ended.acquire(timeout=TIMEOUT))
        with self.assertRaises(http.client.IncompleteRead):
            self.ask(target="/b/body")
        self.assertEqual(self.ask(target="/b/drops").status, 200)

    def test_a_slow_client_is_not_the_back_ends_fault(self):
        back_end = self.back_end(ok, "--set", "proxy_timeout=0.3")
        connection = self.connect()
        connection.sendall(b"POST /b/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        time.sleep(0.9)
        connection.sendall(b"b")
        self.assertIn(b" 200 OK\r\n", connection.recv(1000))
        self.assertEqual(back_end.requests[0].body, b"ab")

    def test_nothing_stays_open(self):
        def close(request, connection, number):
            ok(request, connection, number)
            return number % 2 == 0
        self.back_end(close)
        client = self.client()
        self.ask(client=client)
        before = self.fds()
        for i in range(60):
            connection = self.connect()
            connection.sendall(b"POST /b/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n" + b"abcde"[:i % 6])
            connection.close()
            self.assertEqual(self.ask(client=client).status, 200)
        deadline = time.monotonic() + 10
        while self.fds() > before + 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLessEqual(self.fds(), before + 1)  # one may be kept for the next request


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        for name in ("localhost", "other"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout",
                            cls.file(name, "key"), "-out", cls.file(name, "crt")], check=True, capture_output=True)

    @classmethod
    def file(cls, name, end):
        return os.path.join(cls.directory.name, f"{name}.{end}")

    def serve(self, name, trusted, answer=ok):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(name, "crt"), self.file(name, "key"))
        os.environ.update(SSL_CERT_FILE=self.file(trusted, "crt"), SSL_CERT_DIR=self.directory.name + "/none")
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        self.addCleanup(os.environ.pop, "SSL_CERT_DIR")
        return self.back_end(answer, context=context)

    def test_trusted(self):
        back_end = self.serve("localhost", "localhost", lambda request, connection, _: connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(request.body), request.body)))
        content = os.urandom(3 << 20)
        for _ in range(3):
            self.assertEqual(self.ask("POST", body=content).content, content)
        self.assertEqual(back_end.connections, 1)

    def test_not_trusted(self):
        self.serve("localhost", "other")
        self.assertEqual(self.ask().status, 502)

    def test_for_another_name(self):
        self.serve("other", "other")
        self.assertEqual(self.ask().status, 502)

    def test_no_tls_there(self):
        back_end = BackEnd(raw(b"nothing of TLS"), greet=True)
        self.addCleanup(back_end.close)
        self.proxy(f"/b/=https://127.0.0.1:{back_end.port}/")
        self.assertEqual(self.ask().status, 502)


class Tunnel(Case):
    UPGRADE = (b"GET /b/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
               b"Sec-WebSocket-Key: k\r\n\r\n")
    SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: b\r\n\r\n"

    def test_websocket(self):
        async def echo(socket_, *_):
            async for message in socket_:
                await socket_.send(message)

        async def talk():
            async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
                self.proxy(f"/b/=http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
                async with websockets.connect(f"ws://127.0.0.1:{self.port}/b/ws", max_size=None) as client:
                    for message in ("hello", "", os.urandom(3 << 20), "é" * 1000):
                        await client.send(message)
                        self.assertEqual(await client.recv(), message)
                    many = [str(i) for i in range(500)]
                    for message in many:
                        await client.send(message)
                    self.assertEqual([await client.recv() for _ in many], many)
                self.assertEqual(client.close_code, 1000)
        asyncio.run(asyncio.wait_for(talk(), 2 * TIMEOUT))

    def open(self, answer, *settings):
        back_end = self.back_end(answer, *settings, greet=True)
        return back_end, self.connect()

    def read_head(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            self.assertTrue(byte, head)
            head += byte
        return head

    def test_bytes_before_and_after_the_switch(self):
        got = []

        def switch(_, connection, __):
            got.append(self.read_head(connection))
            connection.sendall(self.SWITCH + b"first")
            for size in (5, 4):
                got.append(connection.recv(size, socket.MSG_WAITALL))
            connection.sendall(b"second")
        _, connection = self.open(switch)
        connection.sendall(self.UPGRADE + b"early")
        head = self.read_head(connection)
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        for line in (b"x-a: b", b"upgrade: websocket", b"connection: upgrade"):
            self.assertEqual(head.lower().count(b"\r\n" + line + b"\r\n"), 1, head)
        connection.sendall(b"late")
        with connection.makefile("rb") as stream:
            self.assertEqual(stream.read(), b"firstsecond")
        self.assertIn(b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", got[0])
        self.assertEqual(got[1:], [b"early", b"late"])

    def test_half_close_each_way(self):
        def reverse(_, connection, __):
            self.read_head(connection)
            connection.sendall(self.SWITCH)
            with connection.makefile("rb") as stream:
                connection.sendall(stream.read()[::-1])
        back_end, connection = self.open(reverse)
        connection.sendall(self.UPGRADE)
        self.read_head(connection)
        connection.sendall(b"abc")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.recv(3, socket.MSG_WAITALL), b"cba")
        self.assertEqual(connection.recv(1), b"")
        self.assertTrue(back_end.ended.acquire(timeout=TIMEOUT))

        def first(_, connection, __):
            self.read_head(connection)
            connection.sendall(self.SWITCH + b"bye")
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                self.assertEqual(stream.read(), b"last words")
        back_end, connection = self.open(first)
        connection.sendall(self.UPGRADE)
        self.read_head(connection)
        with connection.makefile("rb") as stream:
            self.assertEqual(stream.read(), b"bye")
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        self.assertTrue(back_end.ended.acquire(timeout=TIMEOUT))

    def test_half_a_tunnel_does_not_stay(self):
        def never(_, connection, __):
            self.read_head(connection)
            connection.sendall(self.SWITCH)
            with connection.makefile("rb") as stream:
                stream.read()
                connection.recv(1)
                time.sleep(3)
        _, connection = self.open(never, "--set", "proxy_timeout=0.3")
        connection.sendall(self.UPGRADE)
        self.read_head(connection)
        connection.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        self.assertEqual(connection.recv(1), b"")
        self.assertLess(time.monotonic() - began, 2.5)

    def test_a_side_that_is_lost_takes_the_other_along(self):
        def reset(_, connection, __):
            self.read_head(connection)
            connection.sendall(self.SWITCH)
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        _, connection = self.open(reset)
        connection.sendall(self.UPGRADE)
        self.read_head(connection)
        connection.sendall(b"x")
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(connection.recv(1), b"")

    def test_a_back_end_that_does_not_switch(self):
        back_end = self.back_end()
        client = self.client()
        fields = {"Connection": "upgrade", "Upgrade": "websocket"}
        for _ in range(2):
            self.assertEqual(self.ask(fields=fields, client=client).content, b"ok")
        self.assertIn(("upgrade", "websocket"), back_end.requests[0].fields)

    def test_a_reader_that_stops_stops_the_writer(self):
        sent = [0]

        def flood(_, connection, __):
            self.read_head(connection)
            connection.sendall(self.SWITCH)
            while sent[0] < 40 << 20:
                sent[0] += connection.send(bytes(1 << 16))
        _, connection = self.open(flood)
        connection.sendall(self.UPGRADE)
        self.read_head(connection)
        time.sleep(1)
        self.assertLess(sent[0], 30 << 20)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
