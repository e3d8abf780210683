"""Requests that are malformed or hostile, over raw sockets: each has its stated answer, and that alone.

A row of the table says what is sent, the statuses of all answers, and whether the connection goes on. Each
row is sent in one piece and, if it is short, byte by byte: where the network cuts a request must change
nothing. After each row a good request is answered, and at the end no descriptor is left. The servers are the
engine alone, the program that serves files, and a script by `quicken serve`.
"""

import collections
import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
import serving

TIMEOUT = 20  # seconds until a test says that the server hangs
SETTINGS = {"header_timeout": 1, "body_timeout": 1, "body_min_rate": 100, "idle_timeout": 2}
CONTENT = b"content\n"
GOOD = b"GET /f.txt HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /f.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

Row = collections.namedtuple("Row", "name sent statuses keeps")


def row(name, sent, *statuses, keeps=False):
    return Row(name, sent, statuses, keeps)


def get(target=b"/f.txt", fields=b"", version=b"HTTP/1.1"):
    return b"GET " + target + b" " + version + b"\r\nHost: x\r\n" + fields + b"\r\n"


def post(fields, body=b""):
    return b"POST /f.txt HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked", body)


SMUGGLING = [
    row("length and chunked", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + GOOD), 400),
    row("chunked and length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n" + GOOD), 400),
    row("chunked twice", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), 400),
    row("chunked and identity", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"), 400),
    row("chunked, chunked", post(b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"), 400),
    row("chunked, identity", post(b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"), 501),
    row("identity", post(b"Transfer-Encoding: identity", b"0\r\n\r\n"), 501),
    row("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"), 501),
    row("xchunked", post(b"Transfer-Encoding: xchunked", b"0\r\n\r\n"), 501),
    row("chunked in quotes", post(b'Transfer-Encoding: "chunked"', b"0\r\n\r\n"), 501),
    row("no coding", post(b"Transfer-Encoding:", b"0\r\n\r\n"), 400),
    row("chunked after a vertical tab", post(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"), 400),
    row("chunked before a NUL", post(b"Transfer-Encoding: chunked\0", b"0\r\n\r\n"), 400),
    row("chunked before a blank and colon", post(b"Transfer-Encoding : chunked", b"0\r\n\r\n"), 400),
    row("chunked on a folded line", post(b"Transfer-Encoding:\r\n chunked", b"0\r\n\r\n"), 400),
    row("chunked behind a bare LF", post(b"X: y\nTransfer-Encoding: chunked", b"0\r\n\r\n"), 400),
    row("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
]

LENGTHS = [
    row("two lengths", post(b"Content-Length: 5\r\nContent-Length: 6", b"abcdef"), 400),
    row("the same length twice", post(b"Content-Length: 5\r\nContent-Length: 5", b"abcde"), 400),
    row("a list of lengths", post(b"Content-Length: 5, 5", b"abcde"), 400),
    *[row("length " + repr(value)[1:], post(b"Content-Length: " + value, b"abcde"), 400)
      for value in (b"-1", b"+5", b"0x5", b"5 5", b"5.0", b"1e3", b"", b"five", b"5\0", b"5;", b"\xb2", b"\xef\xbc\x95",
                    b"18446744073709551616", b"99999999999999999999999999", b"-18446744073709551611")],
]

LINES = [
    row("bare LF after the request line", b"GET /f.txt HTTP/1.1\nHost: x\r\n\r\n", 400),
    row("bare LF after a field", b"GET /f.txt HTTP/1.1\r\nHost: x\n\r\n", 400),
    row("bare LF as the empty line", b"GET /f.txt HTTP/1.1\r\nHost: x\r\n\n", 400),
    row("bare LFs", b"GET /f.txt HTTP/1.1\nHost: x\n\n", 400),
    row("CR within the request line", b"GET /f.txt\rHTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("CR within a value", get(fields=b"X: a\rb\r\n"), 400),
    row("CR before CR LF", get(fields=b"X: a\r\r\n"), 400),
    row("CR within a name", get(fields=b"X\rY: a\r\n"), 400),
    row("a line folded by a blank", get(fields=b"X: a\r\n b\r\n"), 400),
    row("a line folded by a tab", get(fields=b"X: a\r\n\tb\r\n"), 400),
    row("a folded first line", b"GET /f.txt HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    row("a folded line of blanks", get(fields=b"X: a\r\n \r\n"), 400),
    row("blank before the colon", get(fields=b"X : a\r\n"), 400),
    row("tab before the colon", get(fields=b"X\t: a\r\n"), 400),
    row("no colon", get(fields=b"X\r\n"), 400),
    row("no name", get(fields=b": a\r\n"), 400),
    row("a name in brackets", get(fields=b"(X): a\r\n"), 400),
    row("a blank within a name", get(fields=b"X Y: a\r\n"), 400),
    row("NUL in a name", get(fields=b"X\0: a\r\n"), 400),
    row("a byte beyond ASCII in a name", get(fields=b"X\xe4: a\r\n"), 400),
    row("NUL in a value", get(fields=b"X: a\0b\r\n"), 400),
    row("a control character in a value", get(fields=b"X: a\x01b\r\n"), 400),
    row("DEL in a value", get(fields=b"X: a\x7fb\r\n"), 400),
    row("escape in a value", get(fields=b"X: \x1b[31m\r\n"), 400),
    row("a tab within a value", get(fields=b"X: a\tb\r\n"), 200, keeps=True),
    row("a byte beyond ASCII in a value", get(fields=b"X: \xe4\r\n"), 200, keeps=True),
    row("an empty value", get(fields=b"X:\r\nY: \t \r\n"), 200, keeps=True),
]

REQUEST_LINES = [
    row("no target", b"GET HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("an empty target", b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("two blanks", b"GET /f.txt  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("a tab for a blank", b"GET\t/f.txt HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("empty lines first", b"\r\n\r\n" + GOOD, 200, keeps=True),
    row("a CR first", b"\r" + GOOD, 400),
    row("an LF first", b"\n" + GOOD, 400),
    row("a blank first", b" GET /f.txt HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("a blank last", b"GET /f.txt HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    row("a blank in the target", get(b"/f .txt"), 400),
    row("NUL in the target", get(b"/f\0.txt"), 400),
    row("a control character in the target", get(b"/f\x01.txt"), 400),
    row("DEL in the target", get(b"/f\x7f.txt"), 400),
    row("no slash", get(b"f.txt"), 400),
    row("an asterisk for GET", get(b"*"), 400),
    row("a scheme without a host", get(b"http://"), 400),
    row("a scheme with a path alone", get(b"http:///f.txt"), 400),
    row("another scheme", get(b"ftp://x/f.txt"), 400),
    row("a file's scheme", get(b"file:///etc/passwd"), 400),
    row("an authority for GET", get(b"x:80"), 400),
    row("CONNECT", b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n" + b"\x16\x03\x01", 400),
    row("a bad method", b"G@T /f.txt HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("a method with NUL", b"G\0T /f.txt HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("no method", b"/f.txt HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    row("an absolute URI", get(b"http://other:81/f.txt"), 200, keeps=True),
    row("an absolute URI of TLS", get(b"HTTPS://other/f.txt"), 200, keeps=True),
]

HOSTS = [
    row("no Host", b"GET /f.txt HTTP/1.1\r\n\r\n", 400),
    row("no Host, other fields", b"GET /f.txt HTTP/1.1\r\nX-Host: x\r\n\r\n", 400),
    row("two Hosts", get(fields=b"Host: y\r\n"), 400),
    row("the same Host twice", get(fields=b"hOST: x\r\n"), 400),
    *[row("Host " + repr(host)[1:], b"GET /f.txt HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 400)
      for host in (b"a b", b"a/b", b"a@b", b"a,b", b"a\\b", b"<a>", b"a?b", b"a#b", b"a:b:c", b"[::1", b"a:99x")],
    *[row("Host " + repr(host)[1:], b"GET /f.txt HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 200, keeps=True)
      for host in (b"a.b-c_d:8080", b"[::1]:80", b"[::ffff:1.2.3.4]", b"127.0.0.1", b"x:", b"a%20b", b"a!b")],
    row("an empty Host", b"GET /f.txt HTTP/1.1\r\nHost:\r\n\r\n", 200, keeps=True),
    row("no Host in HTTP/1.0", b"GET /f.txt HTTP/1.0\r\n\r\n", 200),
]

VERSIONS = [
    row("HTTP/0.9 without a version", b"GET /f.txt\r\n\r\n", 400),
    row("HTTP/0.9", get(version=b"HTTP/0.9"), 505),
    row("HTTP/2.0", get(version=b"HTTP/2.0"), 505),
    row("HTTP/9.9", get(version=b"HTTP/9.9"), 505),
    row("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505),
    row("HTTP/1.2", get(version=b"HTTP/1.2"), 505),
    *[row("version " + repr(version)[1:], get(version=version), 400)
      for version in (b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"http/1.1", b"HTTP/x.y",
                      b"HTTP/1,1", b"HTTP 1.1", b"ICY/1.1", b"HTTP/1.1x", b"HTTP/-1.1", b"HTTPS/1.1", b"HTTP/1.1\0")],
]

SIZES = [
    row("a long method", b"G" * 100000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    row("a long target", get(b"/" + b"a" * 9000), 414),
    row("a target of 1 MB", get(b"/" + b"a" * (1 << 20)), 414),
    row("a long version", get(version=b"HTTP/1.1" + b"1" * 100000), 414),
    row("a long query", get(b"/f.txt?" + b"a=b&" * 3000), 414),
    row("a long value", get(fields=b"X: " + b"a" * 40000 + b"\r\n"), 431),
    row("a long name", get(fields=b"X" * 40000 + b": a\r\n"), 431),
    row("a value of 10 MB", get(fields=b"X: " + b"a" * (10 << 20) + b"\r\n"), 431),
    row("101 fields", get(fields=b"X: a\r\n" * 100), 431),
    row("10,000 fields", get(fields=b"X: a\r\n" * 10000), 431),
    row("1,000,000 cookies", get(fields=b"Cookie: a=b\r\n" * 1000000), 431),
    row("100 fields", get(fields=b"X: a\r\n" * 99), 200, keeps=True),
]

GARBAGE = [
    row("TLS without a line end", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(11, 256)), 400),
    row("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)) * 2, 400),
    row("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", 408),
    row("NULs", bytes(1000), 400),
    row("all bytes", bytes(range(256)) + b"\r\n\r\n", 400),
    row("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
    row("a word", b"hello\r\n\r\n", 400),
    row("PROXY protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GOOD, 400),
    row("junk after a good request", GOOD + b"junk\r\n\r\n", 200, 400),
    row("a body that was not announced", GOOD + b"abc=def&x=y" + GOOD, 200, 400),
    row("an old version after a good request", GOOD + get(version=b"HTTP/2.0"), 200, 505),
    row("smuggling after a good request", GOOD + SMUGGLING[0].sent, 200, 400),
    row("requests behind one that closes", LAST + GOOD + GOOD, 200),
    row("requests behind a bad one", b"junk\r\n\r\n" + GOOD + GOOD, 400),
    row("three in a row", GOOD * 3, 200, 200, 200, keeps=True),
    row("a hundred in a row", GOOD * 100, *[200] * 100, keeps=True),
    row("Expect that nobody knows", post(b"Expect: 200-ok\r\nContent-Length: 3"), 417),
    row("h2c", get(fields=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"), 200,
        keeps=True),
    row("Connection of nothing", get(fields=b"Connection: ,, ,\r\n"), 200, keeps=True),
]

# Of bodies: for a program that reads them.
BODIES = [
    *[row("chunk size " + repr(size)[1:], chunked(size + b"\r\nabc\r\n0\r\n\r\n"), 400)
      for size in (b"", b"g", b"-3", b"+3", b"0x3", b" 3", b"3 3", b"3\0", b"3\r", b"\xb3", b"fffffffffffffffff",
                   b"10000000000000000", b"3;a=" + b"b" * 300, b"0" * 300 + b"3")],
    row("a chunk without its line end", chunked(b"3\r\nabcd\r\n0\r\n\r\n"), 400),
    row("a chunk and the next size", chunked(b"3\r\nabc0\r\n\r\n\r\n"), 400),
    row("bare LF after a chunk's size", chunked(b"3\nabc\r\n0\r\n\r\n"), 400),
    row("bare LF after a chunk", chunked(b"3\r\nabc\n0\r\n\r\n"), 400),
    row("CR alone after a chunk", chunked(b"3\r\nabc\r0\r\n\r\n"), 400),
    row("a bare LF as the end", chunked(b"3\r\nabc\r\n0\r\n\n" + b"\r\n\r\n"), 400),
    row("an endless chunk size", chunked(b"1" * 100000), 400),
    row("an endless extension", chunked(b"3;" + b"a" * 100000), 400),
    row("a bad trailer", chunked(b"3\r\nabc\r\n0\r\nX y\r\n\r\n"), 400),
    row("a trailer with a control character", chunked(b"3\r\nabc\r\n0\r\nX: \x01\r\n\r\n"), 400),
    row("a trailer with a bare LF", chunked(b"3\r\nabc\r\n0\r\nX: y\n\r\n"), 408),  # it has no end
    row("an endless trailer", chunked(b"3\r\nabc\r\n0\r\nX: " + b"a" * 100000 + b"\r\n\r\n"), 400),
    row("10,000 trailers", chunked(b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 10000 + b"\r\n"), 400),
    row("a chunk of 16 EiB", chunked(b"ffffffffffffffff\r\nabc"), 408),
    row("a length in a trailer", chunked(b"3\r\nabc\r\n0\r\nContent-Length: 7\r\n\r\n"), 400),
    row("a length of 16 EiB", post(b"Content-Length: 18446744073709551615", b"abc"), 413),
    row("a length past the limit", post(b"Content-Length: 99999999999", b"abc"), 413),
    row("extensions", chunked(b"3;a=b\r\nabc\r\n2;c=\"d e\"\r\nde\r\n0;f\r\n\r\n"), 200, keeps=True),
    row("trailers", chunked(b"3\r\nabc\r\n0\r\nX: y\r\nZ:\r\n\r\n"), 200, keeps=True),
    row("a size in capitals with zeros", chunked(b"0000A\r\n0123456789\r\n000\r\n\r\n"), 200, keeps=True),
    row("a length with zeros", post(b"Content-Length: 0003", b"abc"), 200, keeps=True),
    row("a request behind a body", post(b"Content-Length: 3", b"abc") + GOOD, 200, 200, keeps=True),
    row("a request behind chunks", chunked(b"3\r\nabc\r\n0\r\n\r\n") + GOOD, 200, 200, keeps=True),
    row("junk behind chunks", chunked(b"3\r\nabc\r\n0\r\n\r\n") + b"X: y\r\n\r\n", 200, 400),
    row("a request within a body", post(b"Content-Length: %d" % len(GOOD), GOOD), 200, keeps=True),
]

# Of paths: for a program that serves files.
PATHS = [
    *[row("path " + repr(path)[1:], get(path), 404, keeps=True)
      for path in (b"/%00", b"/f.txt%00", b"/f.txt%00.html", b"/%", b"/%f", b"/%zz", b"/%u0066", b"/..", b"/../f.txt",
                   b"/%2e%2e/f.txt", b"/%2E./f.txt", b"/..%2ff.txt", b"/a/../../f.txt", b"/../../../../etc/passwd",
                   b"/%2e%2e%2f%2e%2e%2fetc%2fpasswd", b"/a/b/../../../etc/passwd")],
    *[row("path " + repr(path)[1:], get(path), 404, keeps=True)
      for path in (b"/..\\f.txt", b"/..%5cf.txt", b"\\f.txt".replace(b"\\", b"/\\"), b"/....//f.txt", b"/.hidden",
                   b"/%2ehidden", b"/etc/passwd", b"//etc/passwd", b"/%252e%252e/f.txt", b"/%c0%ae%c0%ae/f.txt",
                   b"/f.txt/", b"/f.txt/x", b"/" + b"a" * 300, b"/a" * 3000, b"/f.txt%0d%0aX:%20y")],
    *[row("path " + repr(path)[1:], get(path), 200, keeps=True)
      for path in (b"/a/../f.txt", b"/./f.txt", b"//f.txt", b"/a/%2e%2e/f.txt", b"/%66.txt", b"/f.txt?..",
                   b"/f.txt?%00%zz", b"/f.txt#/../..", b"/a/..//./f.txt")],
    *[row("range " + repr(value)[1:], get(fields=b"Range: " + value + b"\r\n"), 200, keeps=True)
      for value in (b"bytes", b"bytes=", b"bytes=a-b", b"lines=0-1", b"bytes=3-2", b"bytes=--1", b"bytes=0x0-1",
                    b"bytes=0-99999999999999999999999999999x")],
    row("a range behind the end", get(fields=b"Range: bytes=1000-\r\n"), 416, keeps=True),
    row("dates that are none", get(fields=b"If-Modified-Since: yesterday\r\nIf-Range: \"\r\n"), 200, keeps=True),
    row("codings that are none", get(fields=b"Accept-Encoding: ;;q=,gzip;q=9e9,*;q\r\n"), 200, keeps=True),
]


class Server:
    """A program under test in a directory of its own; `program` is "http_echo" or "quicken-www"."""

    def __init__(self, program, *options, **settings):
        self.directory = tempfile.TemporaryDirectory()
        with open(os.path.join(self.directory.name, "f.txt"), "wb") as file:
            file.write(CONTENT)
        for name in ("a/b", ".hidden"):
            os.makedirs(os.path.join(self.directory.name, name))
        self.log = tempfile.TemporaryFile()
        values = {**SETTINGS, **settings}
        command = [*self.command(program, values), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env={**os.environ, "QUICKEN_SERVE_SETTINGS": json.dumps(values)})
        self.port = self.read_port()

    def command(self, program, values):
        if program == "http_echo":
            words = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
            return [os.path.join(os.environ.get("QUICKEN_BUILD") or harness.PREFIX, "bin", "http_echo"), *words]
        return [os.path.join(harness.PREFIX, "libexec", "quicken", "quicken-www"), "--www", self.directory.name,
                "-a", "127.0.0.1", "-p", "0"]

    def read_port(self):
        """The first number at a line's end that it prints, to either stream."""
        os.set_blocking(self.process.stdout.fileno(), False)

        def look():
            self.log.seek(0)
            text = self.log.read() + self.output()
            return re.search(rb"(\d{4,5})/?\s*$", text, re.MULTILINE) or self.process.poll() is not None
        self.printed = b""
        found = harness.wait_until(look, TIMEOUT)
        assert found and found is not True, f"{self.process.args}: no port: {self.printed}"
        return int(found[1])

    def output(self):
        self.printed += self.process.stdout.read() or b""
        return self.printed

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()
        self.directory.cleanup()


def read_all(connection):
    """What comes until the end; a reset ends it too, as the server need not read what it refuses."""
    parts = []
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def take_answer(data):
    """(status, what follows). Raises ValueError for what is not exactly an answer, or not all of one."""
    head, found, rest = data.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    match = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [ -~]+", line)
    if not found or not match:
        raise ValueError(f"no answer: {data[:200]}")
    values = {}
    for field in fields:
        if not re.fullmatch(rb"[-\w]+: [ -~\x80-\xff]*", field):
            raise ValueError(f"no field: {field}")
        name, _, value = field.partition(b": ")
        values[name.lower()] = value
    status = int(match[1])
    if status < 200:
        return status, rest
    if b"transfer-encoding" in values:
        while size := int(rest.partition(b"\r\n")[0], 16):
            rest = rest.partition(b"\r\n")[2]
            if rest[size:size + 2] != b"\r\n":
                raise ValueError("a chunk is cut")
            rest = rest[size + 2:]
        return status, rest.partition(b"\r\n\r\n")[2]
    size = int(values[b"content-length"])
    if len(rest) < size:
        raise ValueError(f"{size} bytes announced, {len(rest)} came")
    return status, rest[size:]


def take_answers(data):
    statuses = []
    while data:
        status, data = take_answer(data)
        if status != 100:
            statuses.append(status)
    return tuple(statuses)


class Rows:
    """`start` makes the server of a class."""

    @classmethod
    def setUpClass(cls):
        cls.server = cls.start()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.good()
        self.before = self.server.fds()

    def tearDown(self):
        self.assertIsNone(self.server.process.poll(), "the server has ended")
        self.good()
        harness.wait_until(lambda: self.server.fds() <= self.before, TIMEOUT, 0.05)
        self.assertLessEqual(self.server.fds(), self.before, "descriptors are left open")

    def good(self):
        with self.server.connect() as connection:
            connection.sendall(LAST)
            self.assertEqual(take_answers(read_all(connection)), (200,))

    def send(self, connection, data, piecewise):
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            if not piecewise:
                return connection.sendall(data)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(data)):
                connection.sendall(data[i:i + 1])

    def answers(self, row, piecewise):
        """What comes for the row and, if the connection is to go on, a good request behind it."""
        with self.server.connect() as connection:
            # In a thread, as the server may answer before it has taken everything.
            data = row.sent + (LAST if row.keeps else b"")
            sender = threading.Thread(target=self.send, args=(connection, data, piecewise))
            sender.start()
            try:
                return read_all(connection)
            finally:
                sender.join()

    def check(self, rows):
        for row in rows:
            for piecewise in (False, True) if len(row.sent) < 600 else (False,):
                with self.subTest(row.name, piecewise=piecewise):
                    expected = row.statuses + ((200,) if row.keeps else ())
                    self.assertEqual(take_answers(self.answers(row, piecewise)), expected)
                    self.good()


class Heads(Rows):
    def test_smuggling(self):
        self.check(SMUGGLING)

    def test_lengths(self):
        self.check(LENGTHS)

    def test_lines(self):
        self.check(LINES)

    def test_request_lines(self):
        self.check(REQUEST_LINES)

    def test_hosts(self):
        self.check(HOSTS)

    def test_versions(self):
        self.check(VERSIONS)

    def test_sizes(self):
        self.check(SIZES)

    def test_garbage(self):
        self.check(GARBAGE)

    def test_a_client_that_goes_at_every_byte(self):
        request = post(b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n") + GOOD
        for size in range(len(request)):
            for half in (False, True):
                with self.server.connect() as connection:
                    connection.sendall(request[:size])
                    if half:
                        connection.shutdown(socket.SHUT_WR)
                        statuses = take_answers(read_all(connection))
                        self.assertLessEqual(len(statuses), 2)
        self.good()

    def test_half_closed_behind_a_good_request(self):
        with self.server.connect() as connection:
            connection.sendall(GOOD * 2)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(take_answers(read_all(connection)), (200, 200))

    def drip(self, connection, data, pause):
        with contextlib.suppress(OSError):  # it is refused midway, and closed by us then
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(pause)

    def slow(self, first, data, pause):
        """Statuses of what comes for bytes that never end, and the seconds that it took."""
        with self.server.connect() as connection:
            began = time.monotonic()
            connection.sendall(first)
            sender = threading.Thread(target=self.drip, args=(connection, data, pause))
            sender.start()
            answers = take_answers(read_all(connection))
            seconds = time.monotonic() - began
            connection.close()
            sender.join()
            return answers, seconds

    def test_slow_heads(self):
        for name, first, data in (("nothing of a head but its first byte", b"G", b""),
                                  ("a head in drops", b"G", GOOD[1:] * 9),
                                  ("fields without end", GOOD[:-2], b"X: a\r\n" * 99),
                                  ("the second request", GOOD + b"G", b"")):
            with self.subTest(name):
                statuses, seconds = self.slow(first, data, 0.05)
                self.assertEqual(statuses, ((200,) if first.startswith(GOOD) else ()) + (408,))
                self.assertLess(seconds, 5)

    def test_idle_connections_are_closed_without_a_word(self):
        for first, expected in ((b"", ()), (GOOD, (200,))):
            statuses, seconds = self.slow(first, b"", 0)
            self.assertEqual(statuses, expected)
            self.assertLess(1.5, seconds)
            self.assertLess(seconds, 6)


class Bodies(Rows):
    def test_bodies(self):
        self.check(BODIES)

    def test_slow_bodies(self):
        head = post(b"Content-Length: 1000")
        for name, first, data in (("no body", head, b""), ("a body in drops", head, b"a" * 1000),
                                  ("part of a body", head + b"a" * 400, b""),
                                  ("chunks in drops", chunked(b""), b"1\r\na\r\n" * 200)):
            with self.subTest(name):
                statuses, seconds = self.slow(first, data, 0.05)
                self.assertEqual(statuses, (408,))
                self.assertLess(seconds, 6 if data or len(first) > len(head) else 3)

    def test_truncated_bodies(self):
        """The client has ended within its body: nobody knows what it meant."""
        for name, sent in (
                ("length", post(b"Content-Length: 10", b"abc")), ("chunk", chunked(b"5\r\nabc")),
                ("between chunks", chunked(b"3\r\nabc\r\n")), ("before the end", chunked(b"3\r\nabc\r\n0\r\n"))):
            with self.subTest(name), self.server.connect() as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(take_answers(read_all(connection)), (400,))


class Paths(Rows):
    def test_paths(self):
        self.check(PATHS)


class Echo(Heads, Bodies, unittest.TestCase):
    @staticmethod
    def start():
        return Server("http_echo")


class Www(Heads, Paths, unittest.TestCase):
    @staticmethod
    def start():
        return Server("quicken-www")


class OfScript:
    """Nothing that a client sends makes a handler fail, or the script start anew."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pid = cls.server.pid

    def tearDown(self):
        super().tearDown()
        self.assertEqual([line for line in self.server.log if "Traceback" in line or "error in " in line], [])
        self.assertEqual(self.server.pid, self.pid, self.server.log)


class Script(OfScript, Heads, Bodies, unittest.TestCase):
    """The handlers look at everything there is."""

    @staticmethod
    def start():
        return serving.Site("""
            def seen(req, args):
                return repr((args, req.headers.items(), req.requestline, req.get_original_host(), req.rfile.read()))
            server.add_text_get_mask('/f.txt', seen)
            server.add_text_post_mask('/f.txt', seen)
            server.add_json_post_mask('/post', lambda req, args: args['post'])
            serve()
            """, **SETTINGS)

    def good(self):
        super().good()
        answer = self.server.ask("/post", "POST", b'{"a": [1]}', {"Content-Type": "application/json"})
        self.assertEqual(json.loads(answer.body), {"a": [1]})


class ScriptsFiles(OfScript, Paths, unittest.TestCase):
    @staticmethod
    def start():
        return serving.Site("server.bind_path('/', 'www')\nserve()\n",
                            {"www/f.txt": CONTENT, "www/a/b/x": b"", "www/.hidden/x": b""}, **SETTINGS)


if __name__ == "__main__":
    harness.main()
