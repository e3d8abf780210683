"""quick_server's interface, as a script writes it and a client sees it: handlers, arguments, bodies, answers, settings.

Each row of the description is a test over a real socket, with the script in its own process and with `quicken serve`.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import pythons
import serving

JSON = "application/json"
TEXT = "text/html; charset=utf-8"

PAGE = """<!DOCTYPE HTML>
<html lang="en">
    <head>
        <meta charset="utf-8">
        <title>Error response</title>
    </head>
    <body>
        <h1>Error response</h1>
        <p>Error code: {0}</p>
        <p>Message: {1}.</p>
        <p>Error code explanation: {0} - {2}.</p>
    </body>
</html>
"""

EVERY_METHOD = """
def add(kind, method):
    decorator = getattr(server, kind + '_' + method)
    @decorator('/%s/by/decorator' % kind, 0)
    def one(req, args):
        return {'method': req.command} if kind == 'json' else 'text ' + req.command
    getattr(server, 'add_%s_%s_mask' % (kind, method))('/%s/by/mask' % kind, one)
for kind in ('json', 'text'):
    for method in ('get', 'post', 'put', 'delete'):
        add(kind, method)
serve()
"""

ARGUMENTS = """
@server.json_get('/a')
def a(req, args):
    return args
@server.json_get('/argc', 2)
def argc(req, args):
    return ['argc', args['paths']]
@server.json_get('/a/longer')
def longer(req, args):
    return 'longer'
@server.json_get('/user/:name/post/:id')
def named(req, args):
    return args['segments']
@server.json_get('/last/:name')
def last(req, args):
    return args['segments']
@server.json_get('/keys')
def keys(req, args):
    return sorted(args)
@server.json_post('/keys')
def post_keys(req, args):
    return sorted(args)
server.add_json_put_mask('/put', post_keys, 1)
serve()
"""


@serving.both_ways
class Routing:
    def test_every_method(self):
        """Eight decorators and their eight plain forms."""
        site = self.script(EVERY_METHOD)
        for method in ("GET", "POST", "PUT", "DELETE"):
            for form in ("decorator", "mask"):
                self.assert_answer((200, JSON, b'{\n  "method": "%s"\n}' % method.encode()),
                                   site.ask(f"/json/by/{form}", method))
                self.assert_answer((200, TEXT, b"text " + method.encode()), site.ask(f"/text/by/{form}", method))

    def test_unknown_path(self):
        """Also where something is sent with it: the original never answered that."""
        site = self.script(EVERY_METHOD)
        for method, body in (("GET", None), ("POST", b"x=1"), ("PUT", b"{}"), ("DELETE", None)):
            self.assertEqual(404, site.ask("/nothing/here", method, body).status)

    def test_longest_mask_and_whole_segments(self):
        site = self.script(ARGUMENTS)
        self.assertEqual('"longer"', site.ask("/a/longer").text)
        self.assertEqual('"longer"', site.ask("/a/longer/than").text)
        self.assertEqual(["longerer"], json.loads(site.ask("/a/longerer").body)["paths"])
        self.assertEqual(404, site.ask("/argh").status)
        self.assertEqual({"x": "1"}, json.loads(site.ask("/a?x=1").body)["query"])

    def test_argc(self):
        """Another number of segments is not the handler's, but a file's, or nothing's."""
        site = self.script("server.bind_path('/', 'www')\n" + ARGUMENTS)
        os.makedirs(self.bed.path("www/argc"))
        self.bed.write("www/argc/one.txt", "a file")
        self.assertEqual(["argc", ["1", "2"]], json.loads(site.ask("/argc/1/2").body))
        self.assertEqual("a file", site.ask("/argc/one.txt").text)
        for path, status in (("/argc", 301), ("/argc/1", 404), ("/argc/1/2/3", 404)):
            self.assertEqual(status, site.ask(path).status, path)
        for path, status in (("/put", 404), ("/put/1", 200), ("/put/1/2", 404)):
            self.assertEqual(status, site.ask(path, "PUT", b"{}").status, path)

    def test_named_segments(self):
        """Up to the next slash, as sent; the last one with what follows."""
        site = self.script(ARGUMENTS)
        self.assertEqual({"name": "joe%20x", "id": "7"}, json.loads(site.ask("/user/joe%20x/post/7").body))
        self.assertEqual({"name": "joe?x=1"}, json.loads(site.ask("/last/joe?x=1").body))

    def test_head(self):
        """A GET handler's fields without its body."""
        site = self.script(ARGUMENTS)
        got, head = site.ask("/a/longer"), site.ask("/a/longer", "HEAD")
        self.assertEqual((200, b""), (head.status, head.body))
        self.assertEqual((str(len(got.body)), got.headers["ETag"]),
                         (head.headers["Content-Length"], head.headers["ETag"]))

    def test_bad_routes(self):
        """What cannot be a route is an error where it is written."""
        result = self.script("""
            for wrong in (lambda: server.json_get('x')(print), lambda: server.json_get('/x', -1)(print),
                          lambda: server.add_text_mask('/x', 'BREW', print), lambda: server.text_get('/x')(5),
                          lambda: server.bind_path('x/', '.'), lambda: server.bind_path('/x', '.'),
                          lambda: server.bind_proxy('/x', 'http://localhost')):
                try:
                    wrong()
                except (ValueError, TypeError) as error:
                    print(type(error).__name__, error)
            """, wait=False)
        self.assertEqual(0, result.end())
        self.assertEqual(["ValueError the mask 'x' does not begin with \"/\"",
                          "ValueError argc of GET /x is a number of segments or None, not -1",
                          "ValueError 'BREW' is none of GET, POST, PUT, DELETE",
                          "TypeError the handler of GET /x cannot be called: 5",
                          "ValueError name must start and end with '/': x/",
                          "ValueError name must start and end with '/': /x",
                          "ValueError name must start and end with '/': /x"], result.lines)


@serving.both_ways
class Arguments:
    def test_paths_query_fragment(self):
        """Paths normalised and unquoted; query unquoted, "+" stays, a flag is True, the last value wins."""
        site = self.script(ARGUMENTS)
        found = json.loads(site.ask("/a/b%20c//./d/../e%2Ff?x=1&x=2%203&flag&p=a+b&%C3%A4=%C3%B6").body)
        self.assertEqual(["b c", "e/f"], found["paths"])
        self.assertEqual({"x": "2 3", "flag": True, "p": "a+b", "ä": "ö"}, found["query"])
        answer = site.exchange(b"GET /a/b?x=1#frag HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        self.assertEqual((["b"], {"x": "1"}, "frag"), (found["paths"], found["query"], found["fragment"]))

    def test_always_present(self):
        site = self.script(ARGUMENTS)
        always = {"cookie", "fragment", "meta", "paths", "query", "segments"}
        self.assertLessEqual(always, set(json.loads(site.ask("/keys").body)))
        for body in (None, b"{}"):
            self.assertLessEqual(always | {"post", "files"}, set(json.loads(site.ask("/keys", "POST", body).body)))

    def test_cookies(self):
        site = self.script("""
            @server.json_get('/')
            def show(req, args):
                req.send_cookie('seen', 'yes', path='/', max_age=60, httponly=True)
                return args['cookie']
            @server.text_get('/raises')
            def raises(req, args):
                req.send_cookie('a', 'b')
                raise PreventDefaultResponse(403, 'no')
            serve()
            """)
        answer = site.ask("/", headers={"Cookie": "a=1; b=two"})
        self.assertEqual({"a": "1", "b": "two"}, json.loads(answer.body))
        self.assertEqual("seen=yes; HttpOnly; Max-Age=60; Path=/", answer.headers["Set-Cookie"])
        self.assertEqual((403, "a=b"), (site.ask("/raises").status, site.ask("/raises").headers["Set-Cookie"]))


BODIES = """
from io import BytesIO
def shown(req, args):
    return {'post': args['post'], 'files': {name: [isinstance(file, BytesIO), file.filename, file.content_type,
            len(file.getvalue()), file.getvalue() == file.read(), file.getvalue()[-9:].decode('latin-1')]
            for name, file in args['files'].items()}}
server.json_post('/post')(shown)
server.json_put('/put')(shown)
server.json_delete('/delete')(shown)
@server.text_post('/raw')
def raw(req, args):
    return req.rfile.read()
server.max_file_size = 5 << 20
serve()
"""


def multipart(parts, boundary):
    lines = b"".join(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, head, content) for head, content in parts)
    return lines + b"--%s--\r\n" % boundary


@serving.both_ways
class Bodies:
    def shown(self, body, kind, method="POST"):
        answer = self.site.ask("/" + method.lower(), method, body, {"Content-Type": kind})
        self.assertEqual(200, answer.status, answer)
        return json.loads(answer.body)

    def refused(self, body, kind):
        answer = self.site.ask("/post", "POST", body, {"Content-Type": kind})
        self.assertEqual(400, answer.status, answer)
        return re.search("<p>Message: (.*)\\.</p>", answer.text).group(1)

    def curl(self, *arguments):
        done = subprocess.run(["curl", "-sS", "-m", "20", *arguments], capture_output=True, timeout=30)
        self.assertEqual((0, b""), (done.returncode, done.stderr))
        return done.stdout

    def test_json(self):
        self.site = self.script(BODIES)
        value = {"a": [1, 2.5, None, True, "ä"], "": {}}
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual({"post": value, "files": {}}, self.shown(json.dumps(value), JSON, method))
        self.assertEqual([1], self.shown(b"[1]", JSON + "; charset=utf-8")["post"])
        self.assertEqual({}, self.shown(b"", JSON)["post"])

    def test_urlencoded(self):
        self.site = self.script(BODIES)
        found = self.shown(b"a=1&a=2&flag&b=%C3%A4+x%2B&c=", "application/x-www-form-urlencoded")
        self.assertEqual({"a": "2", "flag": True, "b": "ä x+", "c": ""}, found["post"])

    def test_other_types(self):
        """Are the handler's to read."""
        self.site = self.script(BODIES)
        self.assertEqual({}, self.shown(b"\0\1", "application/x-own")["post"])
        answer = self.site.ask("/raw", "POST", b"\0\1\r\n", {"Content-Type": "application/x-own"})
        self.assertEqual(b"\0\1\r\n", answer.body)

    def test_multipart_by_curl(self):
        """Fields and files as a real client writes them, small and spooled."""
        self.site = self.script(BODIES)
        small, large = os.urandom(1000), os.urandom(3 << 20)
        self.bed.write("small", small)
        self.bed.write("large", large)
        where = f"http://localhost:{self.site.port}/post"
        for name, content, in_memory in (("small", small, True), ("large", large, False)):
            with self.subTest(name):
                path = self.bed.path(name)
                out = self.curl("-F", "field=a b", "-F", f"file=@{path};filename=x;y.bin", "-F", "last=ä", where)
                self.assertEqual({"field": "a b", "last": "ä"}, json.loads(out)["post"])
                self.assertEqual({"file": [in_memory, "x", "application/octet-stream", len(content), True,
                                           content[-9:].decode("latin-1")]}, json.loads(out)["files"])

    def test_multipart_quoted_boundary(self):
        """Was an error of the original's."""
        self.site = self.script(BODIES)
        body = multipart([(b'Content-Disposition: form-data; name="a"', b"1\r\n--x"),
                          (b'content-disposition: form-data; name="f"; filename="x;y"\r\nContent-Type: a/b', b"")],
                         b"x'(:)? y")
        found = self.shown(body, "multipart/form-data; boundary=\"x'(:)? y\"")
        self.assertEqual({"post": {"a": "1\r\n--x"}, "files": {"f": [True, "x;y", "a/b", 0, True, ""]}}, found)

    def test_malformed(self):
        """400, and what is wrong."""
        self.site = self.script(BODIES)
        kind = "multipart/form-data; boundary=b"
        part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx'
        for expected, body, content_type in (
                ("JSON body is malformed: ", b'{"a": 1', JSON),
                ("JSON body is malformed: ", b'\xff"', JSON),
                ("JSON body is nested too deeply", b"[" * 200000, JSON),
                ("urlencoded body is no UTF-8", b"a=%ff", "application/x-www-form-urlencoded"),
                ("urlencoded body has more than 10000 fields", b"&" * 10000, "application/x-www-form-urlencoded"),
                ("multipart body with a bad boundary", part, "multipart/form-data"),
                ("multipart body without its boundary", b"x", kind),
                ("multipart body does not end with its boundary", part, kind),
                ("multipart body with a boundary that does not end its line", part + b"\r\n--bc", kind),
                ("multipart body with a part that has no name", b"--b\r\n\r\nx\r\n--b--", kind),
                ("multipart body with a part whose header has no end", b"--b\r\nA: b\r\n", kind),
                ("multipart body with a bad header line in a part", b"--b\r\nA b\r\n\r\nx\r\n--b--", kind),
                ('multipart body with a part "a" that is no UTF-8', part + b"\xff\r\n--b--", kind),
                ("multipart body with a boundary that does not end its line", b"--b" + b" " * 2000 + part, kind),
                *[("multipart body with a bad name", b"--b\r\nContent-Disposition: form-data; " + name, kind)
                  for name in (b"name*=idna''a\r\n\r\nx\r\n--b--", b"name*=punycode''%ff\r\n\r\nx\r\n--b--",
                               b"name*=a\0b''\r\n\r\nx\r\n--b--", b"name*=a; name*1=b\r\n\r\nx\r\n--b--")],
                ("multipart body with a bad filename", b'--b\r\nContent-Disposition: form-data; name="a"; filename*='
                 b"undefined''a\r\nContent-Type: x/y\r\n\r\nx\r\n--b--", kind),
                ("multipart body with a bad boundary", b"--b--", "multipart/form-data; boundary*=undefined''b"),
                ("multipart body with more than 100 parameters in a header line",
                 b'--b\r\nContent-Disposition: form-data; name="a"; x="' + b";" * 15000 + b"\r\n\r\nx\r\n--b--", kind),
                ("multipart body with more than 100 parameters in a header line", part + b"--b--", kind + ";a" * 200),
                ("multipart body with more than 1000 parts", (part + b"\r\n") * 1001 + b"--b--", kind)):
            with self.subTest(expected):
                self.assertTrue(self.refused(body, content_type).startswith(expected))
        self.assertEqual({"a": 1}, self.shown(b'{"a": 1}', JSON)["post"])

    def test_too_large(self):
        self.site = self.script(BODIES)
        size = (5 << 20) + 1
        answer = self.site.ask("/post", "POST", b"x" * size, {"Content-Type": "application/octet-stream"})
        self.assertEqual(413, answer.status)
        self.assertIn(f"Uploaded file is too large! {size} &gt; {5 << 20}", answer.text)


@serving.both_ways
class Answers:
    def test_json(self):
        """Indented by two, sorted, ASCII; what JSON has no number for is a string."""
        site = self.script("""
            import collections
            VALUES = [{'b': [1, 2.5, None, True], 'a': 'ä"\\n'}, [], {}, 'x', 0, False,
                      [float('nan'), float('inf'), -float('inf')], collections.OrderedDict(z=1, a=(1, 2))]
            for i, value in enumerate(VALUES):
                server.add_json_get_mask('/%d' % i, lambda req, args, value=value: value)
                print(repr(json_dumps(value)))
            server.add_json_get_mask('/none', lambda req, args: None)
            serve()
            """)
        expected = ['{\n  "a": "\\u00e4\\"\\n",\n  "b": [\n    1,\n    2.5,\n    null,\n    true\n  ]\n}', "[]", "{}",
                    '"x"', "0", "false", '[\n  "NaN",\n  "Infinity",\n  "-Infinity"\n]',
                    '{\n  "a": [\n    1,\n    2\n  ],\n  "z": 1\n}']
        for i, text in enumerate(expected):
            self.assert_answer((200, JSON, text.encode()), site.ask(f"/{i}"))
            self.assertEqual(repr(text), site.lines[i])
        self.assertEqual(404, site.ask("/none").status)

    def test_text(self):
        """str, bytes, files; None is 404."""
        site = self.script("""
            import io
            for name, make in {'str': lambda: 'ä', 'bytes': lambda: b'\\xff', 'none': lambda: None,
                               'bytesio': lambda: io.BytesIO(b'in memory'), 'stringio': lambda: io.StringIO('ä'),
                               'file': lambda: open(__file__, 'rb')}.items():
                server.add_text_get_mask('/' + name, lambda req, args, make=make: make())
            serve()
            """)
        self.assert_answer((200, TEXT, "ä".encode()), site.ask("/str"))
        self.assert_answer((200, "text/html", b"\xff"), site.ask("/bytes"))
        self.assert_answer((200, b"in memory"), site.ask("/bytesio"))
        self.assert_answer((200, "ä".encode()), site.ask("/stringio"))
        with open(self.bed.path("site.py"), "rb") as file:
            self.assert_answer((200, file.read()), site.ask("/file"))
        answer = site.ask("/none")
        self.assertEqual((404, PAGE.format(404, "File not found", "Nothing matches the given URI")),
                         (answer.status, answer.text))

    def test_response(self):
        site = self.script("""
            server.add_json_get_mask('/json', lambda req, args: Response({'a': 1}, 202))
            server.add_json_get_mask('/none', lambda req, args: Response(None))
            server.add_text_get_mask('/text', lambda req, args: Response('a,b', code=201, ctype='text/csv'))
            server.add_text_get_mask('/multi', lambda req, args: MultipartResponse({'t': 'x', 'b': b'\\0', 'j': {}}))
            serve()
            """)
        self.assert_answer((202, JSON, b'{\n  "a": 1\n}'), site.ask("/json"))
        self.assert_answer((201, "text/csv", b"a,b"), site.ask("/text"))
        self.assertEqual(404, site.ask("/none").status)
        answer = site.ask("/multi")
        boundary = re.fullmatch("multipart/form-data; boundary=([0-9a-f]{32})", answer.headers["Content-Type"]).group(1)
        expected = ('--B\r\nContent-Disposition: form-data; name="t"\r\n\r\nx\r\n'
                    '--B\r\nContent-Disposition: form-data; name="b"; filename="b"\r\n'
                    "Content-Type: application/octet-stream\r\n\r\n\0\r\n"
                    '--B\r\nContent-Disposition: form-data; name="j"; filename="j"\r\n'
                    "Content-Type: application/json\r\n\r\n{}\r\n--B--\r\n")
        self.assertEqual(expected, answer.text.replace(boundary, "B"))

    def test_exceptions(self):
        """500 with "Type: message", no "--" in it; the traceback in the log, the error handler called; it goes on."""
        site = self.script("""
            set_global_error_handler(lambda source, message, lines: print('told', source, message, lines[-1],
                                                                             flush=True))
            @server.json_get('/error')
            def error(req, args):
                raise ValueError('a <b> -- c')
            @server.text_get('/type')
            def wrong(req, args):
                return 5
            @server.json_get('/json')
            def no_json(req, args):
                return {'a': object()}
            serve()
            """)
        answer = site.ask("/error")
        explanation = "Server got itself in trouble"
        self.assertEqual((500, PAGE.format(500, "ValueError: a &lt;b&gt; - c", explanation)),
                         (answer.status, answer.text))
        self.assertTrue(site.has_logged("ValueError: a <b> -- c"), site.log)
        self.assertTrue(site.has_logged('site.py", line '), site.log)
        self.assertTrue(harness.wait_until(lambda: "told GET /error ValueError: a <b> -- c ValueError: a <b> -- c"
                                           in site.lines), site.lines)
        self.assertIn("TypeError: a text handler has returned int", site.ask("/type").text)
        self.assertIn("TypeError: Object of type object is not JSON serializable", site.ask("/json").text)
        self.assertEqual(500, site.ask("/error").status)

    def test_prevent_default_response(self):
        """With a code, raised and returned: that page, with no "--" in what is said."""
        site = self.script("""
            @server.text_get('/page')
            def page(req, args):
                raise PreventDefaultResponse(402, 'pay -- first')
            @server.json_get('/returned')
            def returned(req, args):
                return PreventDefaultResponse(410)
            serve()
            """)
        answer = site.ask("/page")
        self.assertEqual(402, answer.status)
        self.assertIn("<p>Message: pay - first.</p>", answer.text)
        self.assertEqual((410, "Gone"), (site.ask("/returned").status, site.ask("/returned").reason))

    def test_own_answers(self):
        """Handlers that answer by themselves, and say so by PreventDefaultResponse without a code."""
        site = self.script("""
            @server.text_get('/own')
            def own(req, args):
                req.send_response(203, 'Own')
                req.send_header('X-Own', 5)
                req.send_header('Content-Length', 4)
                req.end_headers()
                req.wfile.write(b'ow')
                req.wfile.write(b'n!')
                raise PreventDefaultResponse()
            @server.text_get('/chunks')
            def chunks(req, args):
                req.send_response(200)
                req.end_headers()
                for i in range(3):
                    req.wfile.write(b'%d' % i * 1000)
                raise PreventDefaultResponse()
            @server.text_get('/error')
            def error(req, args):
                req.send_error(418, 'short', 'and stout')
                raise PreventDefaultResponse()
            @server.text_get('/raw')
            def raw(req, args):
                req.wfile.write(b'HTTP/1.1 299 Raw\\r\\n\\r\\nbytes')
                raise PreventDefaultResponse()
            serve()
            """)
        own = site.ask("/own")
        self.assertEqual((203, "Own", "5", b"own!"), (own.status, own.reason, own.headers["X-Own"], own.body))
        self.assertEqual(b"0" * 1000 + b"1" * 1000 + b"2" * 1000, site.ask("/chunks").body)
        error = site.ask("/error")
        self.assertEqual((418, PAGE.format(418, "short", "and stout")), (error.status, error.text))
        self.assertEqual(b"HTTP/1.1 299 Raw\r\n\r\nbytes", site.exchange(b"GET /raw HTTP/1.1\r\nHost: x\r\n\r\n"))

    def test_broken_answer(self):
        """An exception after the head has gone: the client sees that it is not whole, the log why."""
        site = self.script("""
            @server.text_get('/')
            def get(req, args):
                req.send_response(200)
                req.end_headers()
                req.wfile.write(b'begun')
                raise ValueError('in the middle')
            serve()
            """)
        answer = site.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(answer.endswith(b"5\r\nbegun\r\n"), answer)
        self.assertTrue(site.has_logged("ValueError: in the middle"), site.log)

    def test_etag(self):
        """crc32 of the content in hexadecimal, unquoted; a match is 304 with Cache-Control."""
        site = self.script("""
            server.max_age = 30
            server.add_text_get_mask('/x', lambda req, args: 'content')
            server.add_json_get_mask('/json', lambda req, args: {})
            @server.text_get('/own')
            def own(req, args):
                if not req.check_cache('tag', req.headers.get('If-None-Match')):
                    return 'fresh'
                raise PreventDefaultResponse()
            serve()
            """)
        for path, content in (("/x", b"content"), ("/json", b"{}")):
            tag = "%x" % zlib.crc32(content)
            self.assertEqual(tag, site.ask(path).headers["ETag"])
            answer = site.ask(path, headers={"If-None-Match": tag})
            self.assertEqual((304, "max-age=30", b""), (answer.status, answer.headers["Cache-Control"], answer.body))
            self.assertEqual(200, site.ask(path, headers={"If-None-Match": tag + "0"}).status)
        answer = site.ask("/own", headers={"If-None-Match": "tag"})
        self.assertEqual((304, "tag", "max-age=30"),
                         (answer.status, answer.headers["ETag"], answer.headers["Cache-Control"]))
        self.assertEqual(b"fresh", site.ask("/own").body)

    def test_request(self):
        """What a handler sees of it."""
        site = self.script("""
            @server.json_post('/see/it')
            def see(req, args):
                return [req.command, req.path, req.requestline, req.client_address[0], req.headers.get('x-a'),
                        req.headers['X-A'], req.headers.get_all('X-B'), req.headers.get('X-No', 'none'),
                        req.server is server, req.rfile.read().decode(), req.get_original_host(),
                        isinstance(req, QuickServerRequestHandler), req.log_elapsed_time_string(0.5),
                        req.log_size_string(2048)]
            serve()
            """)
        data = (b"POST /see/it?x=1 HTTP/1.1\r\nHost: h:1\r\nX-Forwarded-Host: o:2\r\nX-A: \xe4\r\nX-B: 1\r\nx-b: 2\r\n"
                b"Content-Length: 3\r\nConnection: close\r\n\r\nxyz")
        found = json.loads(site.exchange(data).partition(b"\r\n\r\n")[2])
        self.assertIn(found.pop(3), ("127.0.0.1", "::1"))
        self.assertEqual(["POST", "/see/it?x=1", "POST /see/it?x=1 HTTP/1.1", "ä", "ä", ["1", "2"], "none",
                          True, "xyz", "o:2", True, "500.00ms", "2.0KiB"], found)


@serving.both_ways
class Middlewares:
    TEXT = """
        def log(name):
            def middleware(req, args, okay):
                args.setdefault('seen', []).append(name)
                return Response(args['seen'], 403) if args['query'].get('stop') == name else okay
            return middleware
        with server.middlewares(log('a'), log('b')):
            with server.middlewares(log('c')):
                @server.json_get('/in')
                def inside(req, args):
                    return args['seen']
        @server.json_get('/one')
        @server.middleware(log('d'))
        def one(req, args):
            return args['seen']
        @server.json_get('/out')
        def outside(req, args):
            return args.get('seen')
        server.add_pre_middleware(log('first'))
        serve()
        """

    def test_order(self):
        """Pre, then outer to inner, then the handler's own."""
        site = self.script(self.TEXT)
        for path, seen in (("/in", ["first", "a", "b", "c"]), ("/one", ["first", "d"]), ("/out", ["first"])):
            self.assertEqual((200, seen), (site.ask(path).status, json.loads(site.ask(path).body)))

    def test_one_answers(self):
        """Nothing behind it is asked."""
        site = self.script(self.TEXT)
        for path, seen in (("/in?stop=b", ["first", "a", "b"]), ("/one?stop=d", ["first", "d"]),
                           ("/out?stop=first", ["first"])):
            answer = site.ask(path)
            self.assertEqual((403, seen), (answer.status, json.loads(answer.body)), path)


@serving.both_ways
class Files:
    def site(self, text):
        for name in ("www", "www/sub", "other"):
            os.makedirs(self.bed.path(name), exist_ok=True)
        self.bed.write("www/page.html", "<p>page")
        self.bed.write("www/data.bin", "data")
        self.bed.write("www/.hidden.txt", "hidden")
        self.bed.write("www/sub/index.html", "index")
        self.bed.write("other/page.html", "<p>other")
        self.bed.write("other/only.txt", "only")
        return self.script(text + "\nserve()\n")

    def test_bind_path(self):
        """The folder bound last is first, a fallback is last; nothing hidden, nothing outside."""
        site = self.site("server.bind_path_fallback('/', 'other')\nserver.bind_path('/', 'www')\n"
                         "server.bind_path('/o/', 'other')")
        for path, body in (("/page.html", b"<p>page"), ("/only.txt", b"only"), ("/o/page.html", b"<p>other"),
                           ("/sub/", b"index"), ("/sub/../page.html?x", b"<p>page")):
            self.assert_answer((200, body), site.ask(path))
        for path in ("/.hidden.txt", "/nothing", "/../site.py", "/%2e%2e/site.py"):
            self.assertIn(site.ask(path).status, (400, 404), path)
        answer = site.ask("/sub")
        self.assertEqual((301, "/sub/"), (answer.status, answer.headers["Location"]))
        self.assertEqual("%x" % zlib.crc32(b"<p>page"), site.ask("/page.html").headers["ETag"])

    def test_last_bound_first(self):
        site = self.site("server.bind_path('/', 'www')\nserver.bind_path('/', 'other')")
        self.assert_answer((200, b"<p>other"), site.ask("/page.html"))
        self.assert_answer((200, b"data"), site.ask("/data.bin"))

    def test_base_path(self):
        site = self.site("import os\nserver.base_path = os.path.abspath('www')\nserver.bind_path('/s/', 'sub')")
        self.assert_answer((200, b"index"), site.ask("/s/index.html"))

    def test_patterns(self):
        site = self.site("server.bind_path('/', 'www')\nserver.add_default_white_list()\n"
                         "server.bind_path('/other/', 'other')\nserver.add_file_patterns(['*/only.*'], True)")
        for path, status in (("/page.html", 200), ("/data.bin", 404), ("/other/only.txt", 404)):
            self.assertEqual(status, site.ask(path).status, path)

    def test_default_white_list(self):
        names = ("css csv eot gif htm html ico jpeg jpg js json md otf pdf png svg tsv ttf txt woff woff2").split()
        site = self.site("server.bind_path('/', 'www')\nserver.add_default_white_list()")
        for name in names + ["py", "exe", "htmlx"]:
            self.bed.write("www/x." + name, name)
            self.assertEqual(200 if name in names else 404, site.ask("/x." + name).status, name)

    def test_favicon(self):
        """Everywhere, or an empty one."""
        site = self.site("server.bind_path('/', 'www')\nserver.favicon_fallback = 'other/only.txt'")
        for path in ("/favicon.ico", "/sub/favicon.ico"):
            self.assert_answer((200, b"only"), site.ask(path))
        self.assertEqual(404, site.ask("/other.ico").status)

    def test_empty_favicon(self):
        site = self.site("server.link_empty_favicon_fallback()")
        self.assertEqual(200, site.ask("/favicon.ico").status)

    def test_directory_listing(self):
        site = self.site("server.bind_path('/', 'www')\nserver.directory_listing = True")
        self.assertIn("page.html", site.ask("/").text)
        self.assertNotIn(".hidden.txt", site.ask("/").text)

    def test_no_directory_listing(self):
        site = self.site("server.bind_path('/', 'www')")
        self.assertEqual(404, site.ask("/").status)

    def test_special_and_mirrored(self):
        site = self.site("server.add_special_file('/deep/special.js', 'other/only.txt', False, 'text/x-special')\n"
                         "server.bind_path('/', 'www')\n"
                         "server.mirror_file('www/mirror/m.txt', 'other/only.txt', False)")
        self.assert_answer((200, "text/x-special", b"only"), site.ask("/deep/special.js"))
        self.assert_answer((200, b"only"), site.ask("/mirror/m.txt"))
        self.bed.write("other/only.txt", "edited")
        self.assertEqual("edited", harness.wait_until(lambda: site.ask("/mirror/m.txt").text == "edited" and "edited"))
        self.assertEqual(["m.txt"], os.listdir(self.bed.path("www/mirror")))

    def test_fallback_hook(self):
        """Asked last; a path relative to base_path, or None."""
        site = self.site("server.bind_path('/', 'www')\nserver.add_text_get_mask('/handler', lambda req, args: 'h')\n"
                         "server.set_file_fallback_hook(lambda path: None if 'no' in path else 'www/page.html')")
        for path, body in (("/any/where", b"<p>page"), ("/data.bin", b"data"), ("/handler", b"h")):
            self.assert_answer((200, body), site.ask(path))
        self.assertEqual(404, site.ask("/no").status)

    def test_cross_origin(self):
        site = self.site("""
server.bind_path('/', 'www')
server.cross_origin = True
server.add_json_post_mask('/j', lambda req, args: 1)
server.add_text_get_mask('/error', lambda req, args: 1 / 0)
@server.text_get('/own')
def own(req, args):
    req.send_response(200)
    if 'origin' in args['query']:
        req.send_header('Access-Control-Allow-Origin', args['query']['origin'])
    req.end_headers()
    raise PreventDefaultResponse()
""")
        tag = {"If-None-Match": "%x" % zlib.crc32(b"<p>page")}
        answers = [site.ask(path) for path in ("/page.html", "/sub", "/error", "/own", "/nothing")]
        answers += [site.ask("/j", "POST"), site.ask("/j", "POST", b"{", {"Content-Type": JSON}),
                    site.ask("/page.html", headers=tag), site.ask("/page.html", "HEAD")]
        self.assertEqual([200, 301, 500, 200, 404, 200, 400, 304, 200], [answer.status for answer in answers])
        for answer in answers:
            self.assertEqual(("*", "true", "GET, POST, PUT, DELETE, HEAD"),
                             tuple(answer.headers["Access-Control-Allow-" + name]
                                   for name in ("Origin", "Credentials", "Methods")), answer)
        for head, status in ((b"POST /j HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615", b"413"),
                             (b"GET /page.html HTTP/1.1\r\nHost: x\r\nHost: x", b"400"), (b"nonsense", b"400")):
            got = site.exchange(head + b"\r\n\r\n")
            self.assertRegex(got, b"^HTTP/1.1 " + status)
            self.assertIn(b"Access-Control-Allow-Origin: *\r\n", got)
        answer = site.ask("/own?origin=http://x")
        self.assertEqual(["http://x"], answer.headers.get_all("Access-Control-Allow-Origin"), "its own")
        answer = site.ask("/j", "OPTIONS", headers={"Access-Control-Request-Headers": "X-Own"})
        self.assertEqual((200, "X-Own", "600"), (answer.status, answer.headers["Access-Control-Allow-Headers"],
                                                 answer.headers["Access-Control-Max-Age"]))

    def test_no_cross_origin(self):
        site = self.site("server.bind_path('/', 'www')")
        self.assertIsNone(site.ask("/page.html").headers["Access-Control-Allow-Origin"])


@serving.both_ways
class Proxying:
    def test_order(self):
        """Handlers, then files that exist, then the other server; all methods."""
        back = self.script("""
            @server.text_get('/x')
            def get(req, args):
                return 'back ' + req.path
            @server.json_post('/post')
            def post(req, args):
                return args['post']
            serve()
            """, name="back.py", served=False)
        os.makedirs(self.bed.path("www"))
        self.bed.write("www/file.txt", "a file")
        site = self.script(f"""
            server.bind_path('/api/', 'www')
            server.bind_proxy('/api/', 'http://localhost:{back.port}')
            server.add_text_get_mask('/api/own', lambda req, args: 'own')
            serve()
            """)
        for path, text in (("/api/own", "own"), ("/api/file.txt", "a file"), ("/api/x?y=1", "back /x?y=1")):
            self.assertEqual(text, site.ask(path).text)
        answer = site.ask("/api/post", "POST", b'{"a": 1}', {"Content-Type": JSON})
        self.assertEqual({"a": 1}, json.loads(answer.body))
        self.assertIsNone(site.has_logged("proxy", 0))

    def test_websocket(self):
        """Once the other server has changed the protocol, bytes go both ways until one side ends it."""
        with socket.create_server(("localhost", 0)) as listener:
            site = self.script(f"server.bind_proxy('/api/', 'http://localhost:{listener.getsockname()[1]}')\nserve()")
            with socket.create_connection(("localhost", site.port), 15) as client:
                client.sendall(b"GET /api/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                               b"Sec-WebSocket-Key: k\r\n\r\n")
                back, _ = listener.accept()
                with back, back.makefile("rb") as request, client.makefile("rb") as answer:
                    back.settimeout(15)
                    head = list(iter(request.readline, b"\r\n"))
                    self.assertEqual(b"GET /ws HTTP/1.1\r\n", head[0])
                    self.assertIn(b"upgrade: websocket\r\n", [line.lower() for line in head])
                    back.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                 b"Upgrade: websocket\r\n\r\n\x81\x05hello")
                    self.assertEqual(b"HTTP/1.1 101 Switching Protocols\r\n", answer.readline())
                    for _ in iter(answer.readline, b"\r\n"):
                        pass
                    self.assertEqual(b"\x81\x05hello", answer.read(7))
                    client.sendall(b"\x81\x80\0\0\0\0")
                    self.assertEqual(b"\x81\x80\0\0\0\0", request.read(6))
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(b"", request.read())

    def test_one_answer(self):
        """To each request, whatever the other server answers; the original gave two."""
        back = self.script("server.add_text_get_mask('/x', lambda req, args: 'found')\nserve()", name="back.py")
        site = self.script(f"server.bind_proxy('/api/', 'http://localhost:{back.port}')\nserve()")
        asked = b"".join(b"GET /api/%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % each for each in (
            (b"x", b""), (b"none", b""), (b"x", b"Connection: close\r\n")))
        self.assertEqual([b"200", b"404", b"200"], re.findall(rb"HTTP/1\.1 (\d+) ", site.exchange(asked)))


@serving.both_ways
class Settings:
    def test_defaults(self):
        site = self.script("""
            import os
            names = ['favicon_fallback', 'suppress_noise', 'report_slow_requests', 'cross_origin', 'no_command_loop',
                     'cache', 'directory_listing', 'shutdown_latency', 'history_file', 'prompt', 'favicon_everywhere',
                     'max_age', 'max_file_size', 'max_chunk_size', 'verbose_workers', 'done']
            print([getattr(server, name) for name in names])
            print(server.base_path == os.getcwd(), server.server_address[1] == server.server_port)
            server.server_close()
            """, wait=False)
        site.end()
        self.assertEqual([str([None, False, False, False, False, None, False, 0.1, ".cmd_history", "> ", True, 0,
                               50 << 20, 10 << 20, False, False]), "True True"], site.lines, site.log)

    def test_while_serving(self):
        """What is set in a handler holds for the next request."""
        site = self.script("""
            server.bind_path('/', '.')
            @server.json_get('/set')
            def set(req, args):
                server.max_age = 7
                server.cross_origin = True
                try:
                    server.max_age = -1
                except ValueError:
                    return server.max_age
            serve()
            """)
        self.assertEqual("max-age=0", site.ask("/site.py").headers["Cache-Control"])
        self.assertEqual(b"7", site.ask("/set").body)
        answer = site.ask("/site.py")
        self.assertEqual(("max-age=7", "*"), (answer.headers["Cache-Control"],
                                              answer.headers["Access-Control-Allow-Origin"]))

    def test_noise(self):
        """200 and 304 are not logged, what is wrong is, but for what robots ask."""
        site = self.script("""
            server.suppress_noise = True
            server.set_common_invalid_paths(['/robots.txt'])
            server.add_text_get_mask('/fine', lambda req, args: 'x')
            serve()
            """)
        for path in ("/fine", "/robots.txt", "/wrong"):
            tag = site.ask(path).headers["ETag"]
            self.assertEqual(path == "/fine", site.ask(path, headers={"If-None-Match": str(tag)}).status == 304)
        self.assertTrue(site.has_logged('"GET /wrong HTTP/1.1" 404'), site.log)
        self.assertFalse([line for line in site.log if "/fine" in line or "/robots" in line])

    def test_log_line(self):
        site = self.script("server.add_text_get_mask('/fine', lambda req, args: 'x')\nserve()")
        site.ask("/fine")
        self.assertTrue(site.has_logged('"GET /fine HTTP/1.1" 200'), site.log)
        self.assertTrue(site.has_logged("[SERVER] "), site.log)

    def test_slow_requests(self):
        """In its three forms: once while the request runs, and (for a callable) once when it is done."""
        text = """
            import time
            server.report_slow_requests = %s
            server.add_text_get_mask('/slow', lambda req, args: time.sleep(%s) or 'x')
            serve()
            """
        site = self.script(text % ("(0.3, lambda *found: print(*found, flush=True))", 1))
        site.ask("/slow?x")
        lines = harness.wait_until(lambda: len(site.lines) > 2 and site.lines[1:])
        self.assertEqual([["GET", "/slow?x", "False"], ["GET", "/slow?x", "True"]],
                         [line.split()[:2] + line.split()[3:] for line in lines])
        self.assertTrue(0.3 <= float(lines[0].split()[2]) < float(lines[1].split()[2]), lines)

    def test_slow_requests_by_default(self):
        """After 5 s this text, once, while the request runs."""
        site = self.script("""
            import threading
            goes_on = threading.Event()
            server.report_slow_requests = True
            server.add_text_get_mask('/slow', lambda req, args: goes_on.wait() and 'x')
            server.add_text_get_mask('/go', lambda req, args: goes_on.set() or 'x')
            serve()
            """)
        started = time.monotonic()
        slow = threading.Thread(target=site.ask, args=("/slow?x",))
        slow.start()
        line = site.has_logged("longer", 14)
        self.assertLessEqual(5, time.monotonic() - started)
        site.ask("/go")
        slow.join()
        self.assertEqual('[SERVER] request takes longer than expected: "GET /slow?x"', line, site.log)
        self.assertTrue(site.has_logged('"GET /slow?x HTTP/1.1" 200'), site.log)
        self.assertEqual([line], [each for each in site.log if "longer" in each])

    def test_version_string(self):
        site = self.script("server.update_version_string('own/1')\n"
                           "server.add_text_get_mask('/', lambda req, args: 'x')\nserve()")
        self.assertEqual("own/1", site.ask("/").headers["Server"])

    def test_parallel(self):
        """Two requests of 0.5 s at once, or one after the other."""
        for parallel in (True, False):
            site = self.script(f"""
                from quick_server import *
                import threading, time
                server = create_server(('localhost', 0), parallel={parallel})
                inside, most = [], []
                @server.text_get('/')
                def slow(req, args):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.5)
                    inside.pop()
                    return str(max(most))
                print('port', server.server_port, flush=True)
                server.serve_forever()
                """, head="")
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(site.ask("/").text)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual("3" if parallel else "1", max(answers))


@serving.both_ways
class Https:
    def test_wrapped_socket(self):
        """A socket that is wrapped and assigned makes it HTTPS; an idle connection holds up nobody, and is closed."""
        certificate = self.certify()
        site = self.script("""
            import ssl
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain('cert', 'key')
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handshake_timeout = 1
            server.add_json_get_mask('/', lambda req, args: req.secure)
            serve()
            """)
        with socket.create_connection(("localhost", site.port), 15) as idle:
            done = subprocess.run(["curl", "-sS", "-m", "10", "--cacert", certificate,
                                   f"https://localhost:{site.port}/"], capture_output=True, timeout=20)
            self.assertEqual(b"", idle.recv(1))
        self.assertEqual((0, b"true", b""), (done.returncode, done.stdout, done.stderr))

    def test_stop_amid_a_handshake(self):
        """Is not waited for: nobody has asked for anything there."""
        self.certify()
        site = self.script("""
            import ssl
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain('cert', 'key')
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handshake_timeout = server.drain_timeout = server.shutdown_latency = 60
            server.add_json_get_mask('/', lambda req, args: req.secure)
            serve()
            """)
        with socket.create_connection(("localhost", site.port), 15) as stuck:
            stuck.sendall(bytes.fromhex("160301"))
            time.sleep(0.2)  # it is accepted
            site.type("quit")
            try:
                self.assertEqual(b"", stuck.recv(1))
            except ConnectionResetError:
                pass  # what was sent had not been read
        self.assertEqual(0, site.end(), site.log)


SMOKE = """
@server.json_post('/x')
def x(req, args):
    return [args['post'], {name: file.getvalue().decode() for name, file in args['files'].items()}, args['paths']]
@server.text_get('/error')
def error(req, args):
    raise KeyError('x')
server.bind_path('/', '.')
serve()
"""


class Versions(serving.Case):
    """Every CPython that is found."""

    def check(self, python):
        self.bed.write("file.txt", "from a file")
        site = self.script(SMOKE, python=python)
        path = self.bed.path("file.txt")
        done = subprocess.run(["curl", "-sS", "-m", "10", "-F", "a=1", "-F", f"f=@{path}",
                               f"http://localhost:{site.port}/x/y"], capture_output=True, timeout=20)
        self.assertEqual([{"a": "1"}, {"f": "from a file"}, ["y"]], json.loads(done.stdout))
        self.assertIn("KeyError", site.ask("/error").text)
        self.assert_answer((200, b"from a file"), site.ask("/file.txt"))
        site.type("quit")
        self.assertEqual(0, site.end())


def add_versions():
    for version, python in pythons.pythons().items():
        name = "test_" + version.replace(".", "_")
        setattr(Versions, name, lambda self, python=python: self.check(python))


add_versions()


if __name__ == "__main__":
    harness.main()
