"""Files over real sockets, as curl and http.client see them: quicken-www, and what its supervisor asks of it."""

import gzip
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

WWW = os.path.join(harness.PREFIX, "libexec", "quicken", "quicken-www")
SMALL = b"0123456789" * 100
LARGE = os.urandom(1 << 20)
TEXT = b"a line of text that is said again and again\n" * 200


def tag(content):
    return "%x" % zlib.crc32(content)


class Served(unittest.TestCase):
    """One server for the tests of a class: they have files of their own names."""

    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="qk.", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.www = os.path.join(cls.root, "www")
        os.mkdir(cls.www)
        cls.server, cls.port = start(cls.www, *cls.arguments)
        cls.addClassCleanup(stop, cls.server)

    def write(self, name, content, how="wb"):
        path = os.path.join(self.www, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, how) as file:
            file.write(content)
        return path

    def ask(self, path, method="GET", body=None, **headers):
        """Status, headers, body by http.client; `If_Range` in `headers` is If-Range."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def curl(self, *arguments):
        done = subprocess.run(["curl", "-sS", "--max-time", "30", *arguments], capture_output=True, timeout=40)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def raw(self, text):
        """All that comes for these bytes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(text)
            received = b""
            while part := connection.recv(1 << 16):
                received += part
            return received


def start(directory, *arguments, port=0, **options):
    """A server and its port, which it says on stderr."""
    server = subprocess.Popen([WWW, "--www", directory, "-a", "127.0.0.1", "-p", str(port), *arguments],
                              stderr=subprocess.PIPE, **options)
    line = server.stderr.readline().decode()
    found = re.fullmatch(r"\[SERVER\] serving (.*) at http://127\.0\.0\.1:(\d+)/\n", line)
    if not found or found[1] != os.path.realpath(directory):
        server.kill()
        server.wait()
        raise AssertionError(f"it said {line!r} {server.stderr.read()!r}")
    return server, int(found[2])


def stop(server):
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    server.stderr.close()


class Files(Served):
    def test_a_small_file_to_the_byte(self):
        path = self.write("a.html", b"hello world")
        os.utime(path, (784111777, 784111777))
        answer = self.raw(b"GET /a.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertEqual(b"hello world", body)
        lines = head.decode().split("\r\n")
        self.assertEqual("HTTP/1.1 200 OK", lines[0])
        fields = dict(line.split(": ", 1) for line in lines[1:])
        self.assertEqual(len(lines) - 1, len(fields), "a field came twice")
        self.assertRegex(fields.pop("Date"), r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        fields.pop("Server")
        self.assertEqual({"Content-Type": "text/html", "Content-Length": "11", "ETag": "d4a1185",
                          "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT", "Cache-Control": "max-age=0",
                          "Accept-Ranges": "bytes", "Connection": "close"}, fields)

    def test_contents_of_all_sizes(self):
        for size in (0, 1, 1399, 1400, 65535, 65536, 65537, 300000, 5 << 20):
            content = os.urandom(size)
            self.write(f"size/{size}.bin", content)
            for _ in range(2):
                status, headers, body = self.ask(f"/size/{size}.bin")
                self.assertEqual((200, str(size), tag(content)), (status, headers["Content-Length"], headers["ETag"]))
                self.assertEqual(content, body)
            self.assertEqual(content, self.curl(self.url(f"/size/{size}.bin")))

    def test_head_has_the_fields_of_get(self):
        self.write("h.txt", SMALL)
        self.write("h.bin", LARGE)
        for path in ("/h.txt", "/h.bin", "/", "/nothing"):
            status, headers, body = self.ask(path, "HEAD")
            get_status, get_headers, _ = self.ask(path)
            for fields in (headers, get_headers):
                del fields["Date"]
            self.assertEqual((get_status, get_headers.items(), b""), (status, headers.items(), body), path)

    def test_many_on_one_connection(self):
        self.write("k.txt", SMALL)
        self.write("k.bin", LARGE)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.addCleanup(connection.close)
        connection.connect()
        name = connection.sock.getsockname()
        for path, content in [("/k.txt", SMALL), ("/k.bin", LARGE), ("/nothing", None)] * 20:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            self.assertEqual(200 if content else 404, answer.status)
            if content:
                self.assertEqual(content, body)
            self.assertEqual(name, connection.sock.getsockname())

    def test_pipelined_answers_come_in_order(self):
        self.write("p1.txt", b"one")
        self.write("p2.bin", LARGE[:200000])
        self.write("p3.txt", b"three")
        asked = b"".join(b"GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (name, b"Connection: close\r\n" if last else b"")
                         for name, last in ((b"p1.txt", 0), (b"p2.bin", 0), (b"none", 0), (b"p3.txt", 1)))
        answer = self.raw(asked)
        self.assertEqual([b"200", b"200", b"404", b"200"], re.findall(rb"HTTP/1\.1 (\d+) ", answer))
        self.assertTrue(answer.endswith(b"\r\n\r\nthree"))
        self.assertIn(LARGE[:200000], answer)

    def test_types(self):
        expected = {"a.html": "text/html", "a.htm": "text/html", "a.css": "text/css", "a.js": "text/javascript",
                    "a.json": "application/json", "a.png": "image/png", "a.JPG": "image/jpeg", "a.svg": "image/svg+xml",
                    "a.txt": "text/plain", "a.ico": "image/vnd.microsoft.icon", "a.woff2": "font/woff2",
                    "a.pdf": "application/pdf", "a.tar.gz": "application/gzip", "a.csv": "text/csv",
                    "a": "application/octet-stream", "a.unheard": "application/octet-stream", "a.wasm": "application/wasm"}
        for name, media in expected.items():
            self.write(f"types/{name}", b"x")
            self.assertEqual(media, self.ask(f"/types/{name}")[1]["Content-Type"], name)

    def test_other_methods(self):
        self.write("m.txt", b"x")
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            status, headers, body = self.ask("/m.txt", method, b"body" if method != "DELETE" else None)
            self.assertEqual((405, "GET, HEAD, OPTIONS"), (status, headers["Allow"]), method)
            self.assertIn(b"<p>Error code: 405</p>", body)
        status, headers, _ = self.ask("/m.txt", "OPTIONS")
        self.assertEqual((200, "0", "GET, HEAD, OPTIONS"), (status, headers["Content-Length"], headers["Allow"]))

    def test_the_page_of_an_error(self):
        status, headers, body = self.ask("/none--such")
        self.assertEqual((404, "text/html;charset=utf-8"), (status, headers["Content-Type"]))
        self.assertEqual(["Error code: 404", "Message: Not Found.",
                          "Error code explanation: 404 - Nothing matches the given URI."],
                         re.findall(r"<p>(.*)</p>", body.decode()))
        self.assertNotIn(b"--", body.replace(b"<!--", b""))

    def test_a_client_that_reads_slowly_gets_it_all(self):
        self.write("slow.bin", LARGE * 8)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(b"GET /slow.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            time.sleep(0.5)
            received = b""
            while part := connection.recv(1 << 20):
                received += part
        self.assertEqual(LARGE * 8, received.partition(b"\r\n\r\n")[2])

    def test_a_file_that_shrinks_while_it_is_sent_cuts_the_connection(self):
        path = self.write("shrinks.bin", LARGE * 16)
        self.ask("/shrinks.bin", "HEAD")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(b"GET /shrinks.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            received = connection.recv(1000)
            os.truncate(path, 1 << 20)
            while part := connection.recv(1 << 20):
                received += part
        self.assertLess(len(received), 16 << 20)


class Paths(Served):
    def setUp(self):
        self.write("../secret", b"secret")
        self.write("d/x.txt", b"x")

    def test_none_leads_out(self):
        for path in ("/../secret", "/d/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/d/%2e%2e%2f%2e%2e%2fsecret",
                     "/%252e%252e/secret", "//../secret", "/d/..\\..\\secret"):
            answer = self.raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
            self.assertRegex(answer, rb"^HTTP/1\.1 40[04] ", path)
            self.assertNotIn(b"secret", answer.partition(b"\r\n\r\n")[2])

    def test_normal_paths_are_resolved(self):
        for path in ("/d/x.txt", "/d/./x.txt", "/d/../d/x.txt", "//d//x.txt", "/%64/x%2Etxt", "/d%2fx.txt", "/d/x.txt?a=/.."):
            answer = self.raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
            self.assertTrue(answer.endswith(b"\r\n\r\nx"), (path, answer))

    def test_names_of_all_characters(self):
        for name in ("with space", "ümläut", "a+b", "a&b=c", "100%", "#hash", "que?ry", "semi;colon", "quo\"te's"):
            self.write(f"names/{name}.txt", name.encode())
            self.assertEqual(name.encode(), self.ask("/names/" + http_quote(name) + ".txt")[2], name)

    def test_names_that_begin_with_a_dot_do_not_exist(self):
        self.write(".htpasswd", b"secret")
        self.write(".git/config", b"secret")
        self.write("d/.x/y", b"secret")
        for path in ("/.htpasswd", "/.git/config", "/.git/", "/.git", "/d/.x/y", "/%2egit/config"):
            self.assertEqual(404, self.ask(path)[0], path)

    def test_only_regular_files(self):
        os.mkfifo(os.path.join(self.www, "fifo"))
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.bind(os.path.join(self.www, "socket"))
        os.symlink("/dev/zero", os.path.join(self.www, "zero"))
        os.symlink("loop", os.path.join(self.www, "loop"))
        for path in ("/fifo", "/socket", "/zero", "/loop", "/d/x.txt/"):
            self.assertEqual(404, self.ask(path)[0], path)

    def test_links_are_followed(self):
        os.symlink("../secret", os.path.join(self.www, "link"))
        os.symlink("d", os.path.join(self.www, "folder"))
        self.assertEqual(b"secret", self.ask("/link")[2])
        self.assertEqual(b"x", self.ask("/folder/x.txt")[2])

    def test_a_file_without_permission_does_not_exist(self):
        if os.geteuid() == 0:
            self.skipTest("root may read all")
        os.chmod(self.write("locked", b"x"), 0)
        self.assertEqual(404, self.ask("/locked")[0])


class Directories(Served):
    def test_index(self):
        self.write("i/index.htm", b"htm")
        self.assertEqual(b"htm", self.ask("/i/")[2])
        self.write("i/index.html", b"html")
        self.assertEqual(b"html", self.ask("/i/")[2])
        os.unlink(os.path.join(self.www, "i/index.html"))
        self.assertEqual(b"htm", self.ask("/i/")[2])

    def test_redirect(self):
        self.write("r d/index.html", b"here")
        for asked, location in (("/r%20d", "/r%20d/"), ("/r%20d?a=%20b&c", "/r%20d/?a=%20b&c"), ("//r%20d", "/r%20d/"),
                                ("///r%20d", "/r%20d/")):
            answer = self.raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % asked.encode())
            self.assertRegex(answer, rb"^HTTP/1\.1 301 Moved Permanently\r\n")
            self.assertIn(b"\r\nLocation: %s\r\n" % location.encode(), answer)
            self.assertIn(b"\r\nContent-Length: 0\r\n", answer)
        self.assertEqual(b"here", self.curl("-L", self.url("/r%20d")))

    def test_listing(self):
        for name in ("b.txt", "A.txt", "<i>.txt", ".hidden"):
            self.write(f"l/{name}", b"")
        os.mkdir(os.path.join(self.www, "l/c"))
        os.mkfifo(os.path.join(self.www, "l/fifo"))
        status, headers, body = self.ask("/l/")
        self.assertEqual((200, "text/html; charset=utf-8"), (status, headers["Content-Type"]))
        self.assertEqual("<!DOCTYPE HTML>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                         "<title>Directory listing for /l/</title>\n</head>\n<body>\n"
                         "<h1>Directory listing for /l/</h1>\n<hr>\n<ul>\n"
                         "<li><a href=\"%3Ci%3E.txt\">&lt;i&gt;.txt</a></li>\n<li><a href=\"A.txt\">A.txt</a></li>\n"
                         "<li><a href=\"b.txt\">b.txt</a></li>\n<li><a href=\"c/\">c/</a></li>\n"
                         "</ul>\n<hr>\n</body>\n</html>\n", body.decode())
        self.assertEqual(304, self.ask("/l/", If_None_Match=headers["ETag"])[0])

    def test_a_listing_has_a_limit(self):
        os.mkdir(os.path.join(self.www, "many"))
        for number in range(10001):
            open(os.path.join(self.www, "many", f"{number:05}"), "w").close()
        body = self.ask("/many/")[2].decode()
        self.assertEqual(10000, body.count("<li>"))
        self.assertIn("<p>More than 10000 names.</p>", body)


class Versions(Served):
    """ETag, conditions, parts, compression."""

    def test_conditions(self):
        for name, content in (("c.txt", SMALL), ("c.bin", LARGE)):
            self.write(name, content)
            etag = tag(content)
            modified = self.ask("/" + name)[1]["Last-Modified"]
            for headers, status in (
                    ({"If_None_Match": etag}, 304), ({"If_None_Match": f'"{etag}"'}, 304),
                    ({"If_None_Match": f'W/"{etag}"'}, 304), ({"If_None_Match": f'"x", "{etag}"'}, 304),
                    ({"If_None_Match": "*"}, 304), ({"If_None_Match": etag.upper() + "0"}, 200), ({"If_None_Match": ""}, 200),
                    ({"If_Modified_Since": modified}, 304), ({"If_Modified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
                    ({"If_Modified_Since": "nonsense"}, 200), ({"If_None_Match": "x", "If_Modified_Since": modified}, 200),
                    ({"If_Match": "x"}, 412), ({"If_Match": etag}, 200),
                    ({"If_Unmodified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 412)):
                for method in ("GET", "HEAD"):
                    self.assertEqual(status, self.ask("/" + name, method, **headers)[0], (name, method, headers))
            answer = self.raw(f"GET /{name} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {etag}\r\nConnection: close\r\n\r\n".encode())
            self.assertTrue(answer.endswith(b"\r\n\r\n"))
            self.assertIn(f"\r\nETag: {etag}\r\nCache-Control: max-age=0\r\n".encode(), answer)
            self.assertNotIn(b"Content-Length", answer)

    def test_curl_sends_back_what_it_got(self):
        self.write("e.txt", SMALL)
        kept = os.path.join(self.root, "etag")
        self.curl("--etag-save", kept, self.url("/e.txt"))
        self.assertEqual(b"304", self.curl("-w", "%{http_code}", "-H", "If-None-Match: " + tag(SMALL), self.url("/e.txt")))

    def test_one_part(self):
        for name, content in (("r.txt", SMALL), ("r.bin", LARGE)):
            self.write(name, content)
            size = len(content)
            for field, begin, end in (("0-0", 0, 1), ("5-14", 5, 15), (f"{size - 5}-", size - 5, size), ("-7", size - 7, size),
                                      (f"-{size * 2}", 0, size), (f"3-{size * 2}", 3, size)):
                status, headers, body = self.ask("/" + name, Range="bytes=" + field)
                self.assertEqual((206, f"bytes {begin}-{end - 1}/{size}", str(end - begin), tag(content)),
                                 (status, headers["Content-Range"], headers["Content-Length"], headers["ETag"]))
                self.assertEqual(content[begin:end], body)
            for field in (f"{size}-", "-0", f"{size * 3}-{size * 4}"):
                status, headers, _ = self.ask("/" + name, Range="bytes=" + field)
                self.assertEqual((416, f"bytes */{size}"), (status, headers["Content-Range"]), field)
            for field in ("bytes=2-1", "bytes=x", "bytes=", "rows=1-2", "bytes=0-0," * 17):
                self.assertEqual((200, content), self.ask("/" + name, Range=field)[::2], field)

    def test_several_parts(self):
        for name, content in (("s.txt", SMALL), ("s.bin", LARGE)):
            self.write(name, content)
            size = len(content)
            media = "text/plain" if name == "s.txt" else "application/octet-stream"
            status, headers, body = self.ask("/" + name, Range="bytes=0-4, 100-199 ,-3")
            mark = re.fullmatch("multipart/byteranges; boundary=([0-9a-f]{32})", headers["Content-Type"])[1]
            expected = b""
            for begin, end in ((0, 5), (100, 200), (size - 3, size)):
                expected += (b"\r\n" if expected else b"") + (
                    f"--{mark}\r\nContent-Type: {media}\r\nContent-Range: bytes {begin}-{end - 1}/{size}\r\n\r\n".encode()
                    + content[begin:end])
            self.assertEqual((206, expected + f"\r\n--{mark}--\r\n".encode()), (status, body))
            self.assertEqual(str(len(body)), headers["Content-Length"])

    def test_a_download_goes_on_if_it_is_the_same(self):
        self.write("g.bin", LARGE)
        for version, status in ((tag(LARGE), 206), (f'"{tag(LARGE)}"', 206), ("other", 200),
                                ("Sun, 06 Nov 1994 08:49:37 GMT", 200)):
            self.assertEqual(status, self.ask("/g.bin", Range="bytes=5-", If_Range=version)[0], version)
        modified = self.ask("/g.bin")[1]["Last-Modified"]
        self.assertEqual(206, self.ask("/g.bin", Range="bytes=5-", If_Range=modified)[0])
        part = os.path.join(self.root, "part")
        with open(part, "wb") as file:
            file.write(LARGE[:1000])
        self.curl("-C", "-", "-o", part, self.url("/g.bin"))
        with open(part, "rb") as file:
            self.assertEqual(LARGE, file.read())

    def test_gzip(self):
        large = TEXT * 100
        for name, content in (("z.txt", TEXT), ("z2.txt", large)):
            self.write(name, content)
            for _ in range(2):
                status, headers, body = self.ask("/" + name, Accept_Encoding="gzip, deflate, br")
                self.assertEqual((200, "gzip", "Accept-Encoding", tag(content), str(len(body))),
                                 (status, headers["Content-Encoding"], headers["Vary"], headers["ETag"],
                                  headers["Content-Length"]))
                self.assertEqual(content, gzip.decompress(body))
                self.assertLess(len(body), len(content) / 10)
            status, headers, body = self.ask("/" + name)
            self.assertEqual((content, None, "Accept-Encoding"), (body, headers["Content-Encoding"], headers["Vary"]))
            self.assertEqual(content, self.curl("--compressed", self.url("/" + name)))
            self.assertEqual(304, self.ask("/" + name, Accept_Encoding="gzip", If_None_Match=tag(content))[0])
        self.write("z.bin", TEXT)
        self.write("little.txt", TEXT[:1399])
        for path in ("/z.bin", "/little.txt"):
            headers = self.ask(path, Accept_Encoding="gzip")[1]
            self.assertEqual((None, None), (headers["Content-Encoding"], headers["Vary"]), path)


class Changes(Served):
    """What was on disk before the request is what is answered."""

    def test_edits_of_all_kinds(self):
        path = self.write("e/f.txt", b"0000")
        for number in range(300):
            content = b"%04d" % number
            if number % 3 == 0:  # in place, same size
                with open(path, "r+b") as file:
                    file.write(content)
            elif number % 3 == 1:  # anew
                self.write("e/f.txt", content)
            else:  # another in its place
                os.rename(self.write("e/new", content), path)
            status, headers, body = self.ask("/e/f.txt")
            self.assertEqual((200, content, tag(content)), (status, body, headers["ETag"]))
        os.rename(os.path.join(self.www, "e"), os.path.join(self.www, "e2"))
        self.assertEqual(404, self.ask("/e/f.txt")[0])
        self.assertEqual(b"0299", self.ask("/e2/f.txt")[2])
        os.unlink(os.path.join(self.www, "e2/f.txt"))
        self.assertEqual(404, self.ask("/e2/f.txt")[0])

    def test_a_deployment_by_a_link(self):
        for name in ("v1", "v2"):
            self.write(f"{name}/page.html", name.encode())
        link = os.path.join(self.www, "current")
        os.symlink("v1", link)
        for number in range(50):
            name = ("v1", "v2")[number % 2]
            os.symlink(name, link + ".new")
            os.rename(link + ".new", link)
            self.assertEqual(name.encode(), self.ask("/current/page.html")[2])

    def test_edits_while_others_ask(self):
        """Each answer is one version as a whole, not older than what the writer had finished before the request."""
        path = self.write("busy.txt", b"%08d" % 0 * 100)
        finished = 0
        failures = []
        ending = threading.Event()

        def read():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            while not ending.is_set():
                least = finished
                connection.request("GET", "/busy.txt")
                body = connection.getresponse().read()
                if body != body[:8] * 100 or int(body[:8]) < least:
                    failures.append((least, body))
            connection.close()

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(1, 1000):
            new = self.write("busy.new", b"%08d" % number * 100)
            os.rename(new, path)
            finished = number
        ending.set()
        for reader in readers:
            reader.join()
        self.assertEqual([], failures)

    def test_a_large_file(self):
        content = bytearray(LARGE)
        path = self.write("large.bin", content)
        for number in range(50):
            content[number] ^= 1
            with open(path, "r+b") as file:
                file.write(content)
            status, headers, body = self.ask("/large.bin")
            self.assertEqual((tag(content), bytes(content)), (headers["ETag"], body))


class Large(Served):
    def test_a_gigabyte_holds_nobody_up(self):
        """A file without blocks: its checksum takes a second of reading, in which others are answered."""
        with open(os.path.join(self.www, "huge.bin"), "wb") as file:
            file.truncate(1 << 30)
        self.write("small.txt", SMALL)
        status, headers, _ = self.ask("/huge.bin", Range="bytes=1000000000-1000000009")
        self.assertEqual((206, None), (status, headers["ETag"]), "the first answer does not wait for the tag")
        slowest = 0
        for _ in range(200):
            begin = time.monotonic()
            self.assertEqual(SMALL, self.ask("/small.txt")[2])
            slowest = max(slowest, time.monotonic() - begin)
        print(f"slowest answer meanwhile: {slowest * 1e3:.1f} ms", file=sys.stderr)
        etag = "%x" % crc_of_zeros(1 << 30)
        self.assertTrue(harness.wait_until(lambda: self.ask("/huge.bin", "HEAD")[1]["ETag"] == etag, 30))
        self.assertEqual(304, self.ask("/huge.bin", If_None_Match=etag)[0])

    def test_who_compares_waits_for_the_tag(self):
        with open(os.path.join(self.www, "huge2.bin"), "wb") as file:
            file.truncate(100 << 20)
        etag = "%x" % crc_of_zeros(100 << 20)
        self.assertEqual(304, self.ask("/huge2.bin", If_None_Match=etag)[0])


class Program(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="qk.", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.root)
        with open(os.path.join(self.root, "a.txt"), "wb") as file:
            file.write(SMALL)

    def start(self, *arguments, **options):
        server, port = start(self.root, *arguments, **options)
        self.addCleanup(stop, server)
        return server, port

    def get(self, port, path="/a.txt"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def test_signals_end_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server, port = self.start()
            idle = socket.create_connection(("127.0.0.1", port))
            self.addCleanup(idle.close)
            self.assertEqual(SMALL, self.get(port))
            server.send_signal(number)
            self.assertEqual(0, server.wait(10))
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", port))

    def test_what_is_being_sent_is_sent_before_it_ends(self):
        with open(os.path.join(self.root, "large.bin"), "wb") as file:
            file.write(LARGE * 16)
        server, port = self.start()
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", port))
            connection.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            received = connection.recv(1000)
            server.terminate()
            while part := connection.recv(1 << 20):
                received += part
        self.assertEqual(LARGE * 16, received.partition(b"\r\n\r\n")[2])
        self.assertEqual(0, server.wait(10))

    def test_a_second_signal_does_not_wait(self):
        with open(os.path.join(self.root, "large.bin"), "wb") as file:
            file.truncate(1 << 30)
        server, port = self.start()
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", port))
            connection.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(1000)
            server.terminate()
            time.sleep(0.3)
            self.assertIsNone(server.poll(), "the first one waits")
            server.terminate()
            self.assertEqual(0, server.wait(5))

    def test_wrong_arguments(self):
        for arguments, status, word in (([], 2, "--www"), (["--www", "/nonexistent"], 1, "/nonexistent"),
                                        (["--www", os.path.join(self.root, "a.txt")], 1, "a.txt"),
                                        (["--www", self.root, "-p", "70000"], 2, "-p"),
                                        (["--www", self.root, "-a", "999.1.1.1"], 1, "999.1.1.1")):
            done = subprocess.run([WWW, *arguments], capture_output=True, text=True, timeout=20)
            self.assertEqual(status, done.returncode, done)
            self.assertIn(word, done.stderr)

    def test_a_port_in_use(self):
        _, port = self.start()
        done = subprocess.run([WWW, "--www", self.root, "-a", "127.0.0.1", "-p", str(port)], capture_output=True,
                              text=True, timeout=20)
        self.assertEqual((1, f"quicken-www: listen at 127.0.0.1:{port}: Address already in use\n"),
                         (done.returncode, done.stderr))

    def test_the_log(self):
        server, port = self.start()
        self.get(port)
        self.get(port, "/none%1b")
        self.assertRegex(server.stderr.readline().decode(),
                         r'^\[SERVER\] "GET /none%1b HTTP/1\.1" 404 \d+ \(\d+\.\dms\)\n$')
        server, port = self.start("-v")
        self.get(port)
        self.assertRegex(server.stderr.readline().decode(), r'^\[SERVER\] "GET /a\.txt HTTP/1\.1" 200 1000 \(')

    def test_a_log_that_nobody_reads_holds_nobody_up(self):
        _, port = self.start("-v")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.addCleanup(connection.close)
        for _ in range(3000):  # lines for more than a pipe holds
            connection.request("GET", "/a.txt")
            self.assertEqual(SMALL, connection.getresponse().read())

    def test_more_files_than_there_may_be_open(self):
        """Nothing of a small file stays open."""
        server, port = self.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
        for number in range(200):
            with open(os.path.join(self.root, f"{number}.txt"), "w") as file:
                file.write(str(number))
        for number in range(200):
            self.assertEqual(str(number).encode(), self.get(port, f"/{number}.txt"))
        self.assertLess(len(os.listdir(f"/proc/{server.pid}/fd")), 20)


class Supervised(unittest.TestCase):
    """The supervisor's side of src/serve/protocol.hpp, played here."""

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="qk.", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.root)
        with open(os.path.join(self.root, "a.txt"), "wb") as file:
            file.write(SMALL)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]

    def start(self, settings=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(20)
        self.addCleanup(ours.close)
        environment = dict(os.environ, QUICKEN_SERVE_FD=str(theirs.fileno()))
        if settings:
            environment["QUICKEN_SERVE_SETTINGS"] = json.dumps(settings)
        with theirs:
            server = subprocess.Popen([WWW, "--www", self.root, "-a", "", "-p", "8080"], pass_fds=[theirs.fileno()],
                                      env=environment, stderr=subprocess.PIPE)
        self.addCleanup(stop, server)
        self.assertEqual({"do": "listen", "address": "", "port": 8080}, self.receive(ours))
        return server, ours

    def serve(self, settings=None):
        server, ours = self.start(settings)
        self.send(ours, {"do": "listening", "port": 8080, "fd": True}, self.listener)
        message = self.receive(ours)
        self.assertEqual(("serving", False), (message["do"], message["prompts"]))
        return server, ours

    def receive(self, ours):
        return json.loads(ours.recv(1 << 16))

    def send(self, ours, message, passed=None):
        if passed:
            socket.send_fds(ours, [json.dumps(message).encode()], [passed.fileno()])
        else:
            ours.send(json.dumps(message).encode())

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.addCleanup(connection.close)
        return connection

    def get(self, connection):
        connection.request("GET", "/a.txt")
        return connection.getresponse().read()

    def test_serves_on_the_socket_it_is_given(self):
        server, ours = self.serve()
        connection = self.connect()
        self.assertEqual(SMALL, self.get(connection))
        self.send(ours, {"do": "unheard of"})
        # The client may have it all before the server has noted that.
        self.assertTrue(harness.wait_until(lambda: self.activity(ours)["answering"] == 0))
        activity = self.activity(ours)
        self.assertEqual((1, 1, 0), tuple(activity[name] for name in ("connections", "requests", "workers")))
        self.assertLess(activity["seconds_idle"], 20)
        self.send(ours, {"do": "idle"})
        self.assertEqual({"do": "busy"}, self.receive(ours))
        self.assertEqual(SMALL, self.get(connection))
        connection.close()
        self.assertTrue(harness.wait_until(lambda: self.ends_when_idle(server, ours)))

    def activity(self, ours):
        self.send(ours, {"do": "activity?", "and": 1})
        answer = self.receive(ours)
        self.assertEqual("activity", answer["do"])
        return answer

    def ends_when_idle(self, server, ours):
        self.send(ours, {"do": "idle"})
        answer = ours.recv(1 << 16)
        return not answer and server.wait(10) == 0

    def test_an_address_in_use(self):
        server, ours = self.start()
        self.send(ours, {"do": "listening", "errno": 98, "error": "Address already in use"})
        self.assertEqual(1, server.wait(10))
        self.assertEqual(b"quicken-www: listen at :8080: Address already in use\n", server.stderr.read())

    def test_stop_and_the_supervisors_end(self):
        for how in ("stop", "close"):
            server, ours = self.serve()
            if how == "stop":
                self.send(ours, {"do": "stop"})
            else:
                ours.close()
            self.assertEqual(0, server.wait(10), how)

    def test_a_successor_takes_over_the_connections(self):
        old, to_old = self.serve()
        idle = self.connect()
        self.assertEqual(SMALL, self.get(idle))
        new, to_new = self.serve()
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with one, other:
            self.send(to_new, {"do": "adopt"}, one)
            self.send(to_old, {"do": "drain"}, other)
        self.assertEqual(0, old.wait(10))
        name = idle.sock.getsockname()
        for _ in range(3):
            self.assertEqual(SMALL, self.get(idle))
        self.assertEqual(name, idle.sock.getsockname(), "the same connection")
        self.assertEqual(SMALL, self.get(self.connect()))
        self.assertIsNone(new.poll())

    def test_settings(self):
        _, _ = self.serve({"max_target": 20, "idle_timeout": 0.2})
        connection = self.connect()
        connection.request("GET", "/" + "x" * 30)
        self.assertEqual(414, connection.getresponse().status)
        connection = self.connect()
        self.assertEqual(SMALL, self.get(connection))
        connection.sock.settimeout(10)
        self.assertEqual(b"", connection.sock.recv(1))

    def test_a_setting_that_there_is_not(self):
        done = subprocess.run([WWW, "--www", self.root], env=dict(os.environ, QUICKEN_SERVE_SETTINGS='{"a": 1}'),
                              capture_output=True, timeout=20)
        self.assertEqual((1, b"quicken-www: there is no setting a\n"), (done.returncode, done.stderr))


def http_quote(text):
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in text.encode())


def crc_of_zeros(size):
    block = bytes(1 << 20)
    value = 0
    for _ in range(size >> 20):
        value = zlib.crc32(block, value)
    return value


if __name__ == "__main__":
    harness.main()
