"""The corners of the described interface: what serve_api and its kin leave out, name by name and to the byte."""

import http.client
import http.server
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import serving

JSON = "application/json"

NAMES = """
    create_server msg set_log_file LONG_MSG MSG_STDERR debug setup_restart set_restart_exit_code set_error_exit_code
    is_original has_been_restarted json_dumps Response MultipartResponse PreventDefaultResponse worker_request
    WorkerError get_worker_check is_worker_alive WorkerDeath set_global_error_handler setup_shutdown add_shutdown_hook
    get_exec_arr get_time TokenHandler QuickServer QuickServerRequestHandler
    """.split()

SERVER_NAMES = """
    favicon_fallback suppress_noise report_slow_requests cross_origin no_command_loop cache base_path directory_listing
    shutdown_latency history_file prompt favicon_everywhere max_age max_file_size max_chunk_size verbose_workers done
    socket server_address serve_forever server_close register_shutdown restart
    json_get json_post json_put json_delete text_get text_post text_put text_delete middleware middlewares
    add_pre_middleware bind_path bind_path_fallback bind_proxy set_debug_proxy add_file_patterns add_default_white_list
    link_empty_favicon_fallback set_file_fallback_hook add_special_file mirror_file link_worker_js mirror_worker_js
    link_legacy_worker_js mirror_legacy_worker_js update_version_string set_common_invalid_paths
    create_token get_token_obj get_tokens get_token_ttl json_worker
    get_default_token_expiration set_default_token_expiration cmd
    add_json_get_mask add_json_post_mask add_json_put_mask add_json_delete_mask
    add_text_get_mask add_text_post_mask add_text_put_mask add_text_delete_mask
    """.split()

REQUEST_NAMES = """
    headers path command requestline client_address rfile wfile server send_response send_header end_headers send_error
    check_cache log_elapsed_time_string log_size_string get_original_host send_cookie
    """.split()


@serving.both_ways
class Names:
    def test_all_are_there(self):
        site = self.script(f"""
            @server.json_get('/missing')
            def missing(req, args):
                return [[name for name in {NAMES} if not hasattr(quick_server, name) or name not in globals()],
                        [name for name in {SERVER_NAMES} if not hasattr(server, name)],
                        [name for name in {REQUEST_NAMES} if not hasattr(req, name)]]
            serve()
            """)
        self.assertEqual([[], [], []], json.loads(site.ask("/missing").body))

    def test_keywords(self):
        """Of create_server() and the decorators, as versions of the original had them."""
        site = self.script("""
            import threading
            made = []
            def factory(*args, **kwargs):
                made.append(kwargs['target'])
                return threading.Thread(*args, **kwargs)
            server = create_server(('localhost', 0), parallel=True, thread_factory=factory, token_handler=None,
                                   worker_constructor=None, soft_worker_death=False)
            @server.json_get(mask='/a', argc=1)
            def a(req, args):
                return args['paths']
            @server.json_worker(mask='/w', cache_id=lambda args: 'x', cache_method='string', cache_section='www')
            def w(args):
                return len(made)
            @server.cmd(argc=1, complete=lambda args, text: [], no_replace=True)
            def a_b(args):
                print('a_b', args, flush=True)
            serve()
            """)
        self.assert_answer((200, JSON, b'[\n  "b"\n]'), site.ask("/a/b"))
        body = json.dumps({"action": "start", "payload": {}})
        answer = json.loads(site.ask("/w", "POST", body, {"Content-Type": JSON}).body)
        self.assertEqual((True, False, "1"), (answer["done"], answer["continue"], answer["result"]))
        site.type("a_b c")
        self.assertTrue(harness.wait_until(lambda: "a_b ['c']" in site.lines), site.lines)


@serving.both_ways
class Mistakes:
    def told(self, text):
        site = self.script("""
            def attempt(action):
                try:
                    print('none', action())
                except Exception as error:
                    print(type(error).__name__, str(error).split(' at 0x')[0], flush=True)
            """ + text, wait=False)
        self.assertEqual(0, site.end(), site.log)
        return site.lines

    def test_where_to_listen(self):
        """Is said before anything listens; never another port than the one that was meant."""
        lines = self.told("""
            for place in (8080, 'localhost:8080', ('localhost',), (5, 8080), ('localhost', 99999), ('localhost', -1),
                          ('localhost', 8.5), ('localhost', 'http')):
                attempt(lambda: create_server(place))
            create_server((None, 0)).server_close()
            create_server(('localhost', '0')).server_close()
            """)
        self.assertEqual(["TypeError a server listens at (address, port), not at 8080",
                          "TypeError a server listens at (address, port), not at 'localhost:8080'",
                          "TypeError a server listens at (address, port), not at ('localhost',)",
                          "TypeError the address 5 is no str", "ValueError 99999 is no port",
                          "ValueError -1 is no port", "TypeError the port 8.5 is no int",
                          "ValueError 'http' is no port"], lines)

    def test_decorators_without_brackets(self):
        """They would do nothing: nobody would see why the page is not found."""
        lines = self.told("""
            def f(req, args):
                pass
            for wrong in (server.json_get, server.text_post, server.json_worker, server.cmd):
                attempt(lambda: wrong(f))
            """)
        self.assertEqual(["TypeError a mask is a str, not <function f", "TypeError a mask is a str, not <function f",
                          "TypeError a mask is a str, not <function f",
                          "TypeError @server.cmd() is called: argc is a number or None, not <function f"], lines)

    def test_values(self):
        """Refused by the name that the script has used; the old value stays."""
        lines = self.told("""
            for name, value in (('max_file_size', '5'), ('max_chunk_size', None), ('shutdown_latency', -1),
                                ('max_age', True), ('report_slow_requests', 'yes'), ('socket', 5)):
                attempt(lambda: setattr(server, name, value))
            attempt(lambda: server.add_pre_middleware(5))
            attempt(lambda: server.middleware(None)(print))
            attempt(lambda: add_shutdown_hook('x'))
            print(server.max_file_size, server.max_chunk_size, server.shutdown_latency, server.max_age)
            """)
        self.assertEqual(["TypeError max_file_size is a number, not '5'",
                          "TypeError max_chunk_size is a number, not None", "ValueError shutdown_latency is not -1",
                          "TypeError max_age is a number, not True",
                          "TypeError report_slow_requests is a bool, a callable or (seconds, callable)",
                          "TypeError 5 is no socket", "TypeError the middleware 5 cannot be called",
                          "TypeError the middleware None cannot be called",
                          "TypeError the shutdown hook 'x' cannot be called", "52428800 10485760 0.1 0"], lines)


@serving.both_ways
class Routing:
    def test_what_follows_a_mask(self):
        """Nothing, "/", "?" or "#": not the rest of a word."""
        site = self.script("""
            @server.json_get('/mask')
            def mask(req, args):
                return [args['paths'], args['query'], args['fragment']]
            serve()
            """)
        for target, expected in (("/mask", [[], {}, ""]), ("/mask/", [[], {}, ""]), ("/mask?a=1", [[], {"a": "1"}, ""]),
                                 ("/mask#f", [[], {}, "f"]), ("/mask/x?a#f", [["x"], {"a": True}, "f"]),
                                 ("/mask?a=1?b#f#g", [[], {"a": "1?b"}, "f#g"])):
            data = site.exchange(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            self.assertEqual(expected, json.loads(data.partition(b"\r\n\r\n")[2]), target)
        for path in ("/masked", "/mask.html", "/mask%2F", "/Mask", "/x/mask"):
            self.assertEqual(404, site.ask(path).status, path)

    def test_query(self):
        """"+" stays, "%2B" and "%26" are text; the last value wins, also over a flag."""
        site = self.script("server.add_json_get_mask('/q', lambda req, args: args['query'])\nserve()")
        for query, expected in (("a=b+c&d=%2B%26", {"a": "b+c", "d": "+&"}), ("a&a=1", {"a": "1"}),
                                ("a=1&a", {"a": True}), ("a=", {"a": ""}), ("a==b", {"a": "=b"}),
                                ("%61=%62", {"a": "b"})):
            self.assert_answer((200, JSON, json.dumps(expected, indent=2, sort_keys=True).encode()),
                               site.ask("/q?" + query))

    def test_options(self):
        """Is answered where something is, with and without cross_origin."""
        for value in (True, False):
            site = self.script(f"server.cross_origin = {value}\n"
                               "server.add_json_post_mask('/j', lambda req, args: 1)\nserve()")
            answer = site.ask("/j", "OPTIONS", headers={"Access-Control-Request-Headers": "X-A, X-B"})
            found = (answer.status, answer.headers["Access-Control-Allow-Headers"],
                     answer.headers["Access-Control-Max-Age"], answer.headers["Access-Control-Allow-Methods"],
                     answer.body)
            self.assertEqual((200, "X-A, X-B", "600", "GET, POST, PUT, DELETE, HEAD", b"") if value else
                             (200, None, None, None, b""), found)

    def test_slow_requests_by_a_function(self):
        """A callable alone: after 5 s, and when it is done."""
        site = self.script("""
            import time
            server.report_slow_requests = lambda *found: print(*found, flush=True)
            server.add_text_get_mask('/slow', lambda req, args: time.sleep(6) or 'x')
            serve()
            """)
        site.ask("/slow")
        lines = harness.wait_until(lambda: len(site.lines) > 2 and [line.split() for line in site.lines[1:]])
        self.assertEqual([["GET", "/slow", "False"], ["GET", "/slow", "True"]], [line[:2] + line[3:] for line in lines])
        self.assertTrue(5 <= float(lines[0][2]) < 6 <= float(lines[1][2]), lines)


@serving.both_ways
class Files:
    def site(self, text):
        os.makedirs(self.bed.path("www/sub"), exist_ok=True)
        self.bed.write("www/a.txt", "content of a")
        self.bed.write("www/icon", "an icon")
        return self.script(f"server.bind_path('/', 'www')\n{harness.dedent(text)}\nserve()")

    def test_to_the_byte(self):
        """A file's head has what is described, and its ETag is the content's."""
        site = self.site("server.max_age = 12")
        answer = site.ask("/a.txt")
        tag = "%x" % zlib.crc32(b"content of a")
        self.assertEqual((200, "OK", "12", tag, "max-age=12", b"content of a"),
                         (answer.status, answer.reason, answer.headers["Content-Length"], answer.headers["ETag"],
                          answer.headers["Cache-Control"], answer.body))
        for headers in ({"If-None-Match": tag}, {"If-Modified-Since": answer.headers["Last-Modified"]}):
            again = site.ask("/a.txt", headers=headers)
            self.assertEqual((304, b"", "max-age=12"), (again.status, again.body, again.headers["Cache-Control"]))
        os.utime(self.bed.path("www/a.txt"), (1, 1))
        for headers, status in (({"If-None-Match": tag + "0"}, 200),
                                ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
                                ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:01 GMT"}, 304)):
            self.assertEqual(status, site.ask("/a.txt", headers=headers).status, headers)

    def test_favicons(self):
        """Everywhere, or only at the root; a real one is first; without a fallback it is not found."""
        for everywhere, status in ((True, 200), (False, 404)):
            site = self.site(f"server.favicon_fallback = 'www/icon'\nserver.favicon_everywhere = {everywhere}")
            self.assert_answer((200, b"an icon"), site.ask("/favicon.ico"))
            self.assertEqual(status, site.ask("/sub/deep/favicon.ico").status)
        self.bed.write("www/favicon.ico", "the real one")
        self.assert_answer((200, b"the real one"), site.ask("/favicon.ico"))
        os.unlink(self.bed.path("www/favicon.ico"))
        self.assertEqual(404, self.site("").ask("/favicon.ico").status)
        answer = self.site("server.link_empty_favicon_fallback()").ask("/favicon.ico")
        self.assertEqual((200, b""), (answer.status, answer.body))

    def test_black_list_alone(self):
        """Without a white one everything else is allowed; patterns are of the absolute path."""
        site = self.site("import os\nserver.add_file_patterns([os.path.abspath('www') + '/a.*'], blacklist=True)")
        self.assertEqual((404, 200), (site.ask("/a.txt").status, site.ask("/icon").status))

    def test_worker_js(self):
        """Linked and mirrored, by either name: the same bytes, as JavaScript."""
        site = self.site("""
            server.link_worker_js('/js/worker.js')
            server.link_legacy_worker_js('/js/legacy.js')
            server.mirror_worker_js('www/copy.js')
            server.mirror_legacy_worker_js('www/copy.legacy.js')
            """)
        with open(os.path.join(serving.PACKAGE, "quick_server", "worker.js"), "rb") as file:
            content = file.read()
        for path in ("/js/worker.js", "/js/legacy.js", "/copy.js", "/copy.legacy.js"):
            self.assert_answer((200, "text/javascript", content), site.ask(path))

    def test_pages_of_errors(self):
        """Python's own, for what is no handler's as well."""
        site = self.site("")
        answer = site.ask("/nothing")
        self.assertEqual((404, "text/html;charset=utf-8"), (answer.status, answer.headers["Content-Type"]))
        stock = http.server.DEFAULT_ERROR_MESSAGE
        self.assertEqual(stock % {"code": 404, "message": "File not found", "explain": "Nothing matches the given URI"},
                         answer.text)
        for data in (b"GET /a--b--- HTTP/1.1\r\nHost: x\r\n\r\n", b"A--B /a.txt HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"POST /a.txt HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost--: x\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: --\r\n\r\n"):
            answer = site.exchange(data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            page = answer.partition(b"\r\n\r\n")[2].decode()
            code = int(re.search("<p>Error code: ([0-9]+)</p>", page).group(1))
            message = re.search("<p>Message: (.*)\\.</p>", page).group(1)
            explanation = http.server.BaseHTTPRequestHandler.responses[code][1]
            self.assertEqual(stock % {"code": code, "message": message, "explain": explanation}, page)
            self.assertNotIn("--", page)


@serving.both_ways
class Proxying:
    def test_methods(self):
        """All of them, with body and status; what has its own handler is not asked for."""
        back = self.script("""
            def shown(req, args):
                return Response([req.command, req.path, args.get('post'), req.headers['X-Own']], 203)
            for method in ('get', 'post', 'put', 'delete'):
                getattr(server, 'json_' + method)('/x')(shown)
            serve()
            """, name="back.py", served=False)
        site = self.script(f"server.bind_proxy('/api/', 'http://localhost:{back.port}/x/')\n"
                           "server.set_debug_proxy(True)\nserve()")
        for method in ("GET", "POST", "PUT", "DELETE"):
            body = None if method == "GET" else b'{"a": 1}'
            answer = site.ask("/api/y?z=1", method, body, {"Content-Type": JSON, "X-Own": "o"})
            self.assertEqual((203, [method, "/x/y?z=1", {"a": 1} if body else None, "o"]),
                             (answer.status, json.loads(answer.body)))
        answer = site.ask("/api/y", "HEAD")
        self.assertEqual((203, b""), (answer.status, answer.body))
        self.assertEqual('[SERVER] proxy: "DELETE /api/y?z=1 HTTP/1.1"', site.has_logged('proxy: "DELETE '), site.log)
        self.assertEqual(404, site.ask("/apix").status)


@serving.both_ways
class Uploads:
    def test_parts(self):
        """A part with a Content-Type is a file, one without is a str, whatever its name; as curl sends them."""
        site = self.script("""
            from io import BytesIO
            @server.json_post('/up')
            def up(req, args):
                return [args['post'], {name: [isinstance(file, BytesIO), file.read().decode()]
                                       for name, file in args['files'].items()}]
            serve()
            """)
        self.bed.write("f.txt", "a file")
        done = subprocess.run(["curl", "-sS", "-m", "10", "-F", "a=text", "-F", "b=typed;type=text/plain", "-F",
                               f"c=@{self.bed.path('f.txt')}", f"http://localhost:{site.port}/up"], capture_output=True)
        self.assertEqual([{"a": "text"}, {"b": [True, "typed"], "c": [True, "a file"]}], json.loads(done.stdout))

    def test_too_large(self):
        """413 and both numbers; as much as is allowed is taken."""
        site = self.script("server.max_file_size = 1000\n"
                           "server.add_json_post_mask('/up', lambda req, args: len(req.rfile.read()))\nserve()")
        self.assert_answer((200, b"1000"), site.ask("/up", "POST", b"x" * 1000))
        answer = site.ask("/up", "POST", b"x" * 1001)
        self.assertEqual(413, answer.status)
        self.assertIn("<p>Message: Uploaded file is too large! 1001 &gt; 1000.</p>", answer.text)


    def test_without_a_length(self):
        """There is no body then, and the next request is read; the original answered 500."""
        site = self.script("server.add_json_post_mask('/up', lambda req, args: [args['post'], args['files']])\nserve()")
        request = b"POST /up HTTP/1.1\r\nHost: x\r\n%s\r\n"
        found = site.exchange(request % b"" + request % b"Connection: close\r\n")
        self.assertEqual(2, found.count(b"HTTP/1.1 200 OK\r\n"), found)
        self.assertEqual(2, found.count(b"\r\n\r\n[\n  {},\n  {}\n]"), found)

    def test_asks_first(self):
        """A client that waits for "100 Continue" has it before it sends the body."""
        site = self.script("server.add_text_post_mask('/up', lambda req, args: req.rfile.read())\nserve()")
        with socket.create_connection(("localhost", site.port), 15) as client:
            client.sendall(b"POST /up HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
            self.assertEqual(go_on, client.recv(len(go_on), socket.MSG_WAITALL))
            client.sendall(b"abc")
            answer = http.client.HTTPResponse(client)
            answer.begin()
            self.assertEqual((200, b"abc"), (answer.status, answer.read()))


@serving.both_ways
class Requests:
    def test_times_and_sizes(self):
        """As a log line has them, to the byte."""
        times = {-1: "", 0: "0.00ms", 0.000004: "0.00ms", 0.01234: "12.34ms", 0.5: "500.00ms", 0.99: "990.00ms",
                 1: "1.00s", 1.2: "1.20s", 90: "90.00s", 3600.126: "3600.13s"}
        sizes = {-1: "", 0: "0B", 1: "1B", 512: "512B", 1023: "1023B", 1024: "1.0KiB", 1536: "1.5KiB", 10240: "10.0KiB",
                 1 << 20: "1.0MiB", 50 << 20: "50.0MiB", 1 << 30: "1.0GiB", 5 << 40: "5120.0GiB"}
        site = self.script(f"""
            @server.json_get('/')
            def get(req, args):
                return [[req.log_elapsed_time_string(each) for each in {list(times)}],
                        [req.log_size_string(each) for each in {list(sizes)}]]
            serve()
            """)
        self.assertEqual([list(times.values()), list(sizes.values())], json.loads(site.ask("/").body))


@serving.both_ways
class Connections:
    def test_more_than_a_short_backlog_has(self):
        """From create_server() on clients are connected, though nobody serves yet; all of them are answered."""
        site = self.script("""
            import os, time
            server.add_text_get_mask('/', lambda req, args: 'x')
            print('port', server.server_port, flush=True)
            while not os.path.exists('go'):
                time.sleep(0.01)
            server.serve_forever()
            """)
        clients = [http.client.HTTPConnection("localhost", site.port, timeout=15) for _ in range(100)]
        for client in clients:
            self.addCleanup(client.close)
            client.request("GET", "/")
        self.bed.write("go", "")
        self.assertEqual([b"x"] * 100, [client.getresponse().read() for client in clients])

    def test_an_answer_is_one_segment(self):
        """Head and body in one write, of handlers and files: the second one waited for the client, on a connection
        that is kept. tcp(7), TCP_INFO: tcpi_data_segs_in is at 152."""
        self.bed.write("f.txt", "x" * 1024)
        site = self.script("""
            server.bind_path('/', '.')
            server.add_text_get_mask('/text', lambda req, args: 'x' * 1000)
            server.add_json_post_mask('/json', lambda req, args: args['post'])
            serve()
            """)
        client = http.client.HTTPConnection("localhost", site.port, timeout=15)
        self.addCleanup(client.close)
        for _ in range(20):
            for method, path in (("GET", "/text"), ("POST", "/json"), ("GET", "/f.txt")):
                client.request(method, path, b"{}" if method == "POST" else None, {"Content-Type": JSON})
                answer = serving.Answer(client.getresponse())
                self.assertEqual(200, answer.status, answer)
        info = client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        self.assertLess(struct.unpack_from("I", info, 152)[0], 90, "60 answers, and what was sent again")

    def test_all_interfaces(self):
        """'' is every address of IPv4; the real socket is there to be seen."""
        site = self.script("""
            server = create_server(('', 0))
            print(server.server_address[0], server.fileno() == server.socket.fileno(), flush=True)
            server.add_text_get_mask('/', lambda req, args: req.client_address[0])
            serve()
            """)
        for address in ("127.0.0.1", "127.0.0.2"):
            done = subprocess.run(["curl", "-sS", "-m", "5", "--interface", address, f"http://{address}:{site.port}/"],
                                  capture_output=True)
            self.assertEqual(address.encode(), done.stdout, done)
        self.assertEqual("0.0.0.0 True", site.lines[0])

    def test_left_at_the_end(self):
        """Who has no answer shutdown_latency after the end has begun; what follows serve_forever() is run."""
        site = self.script("""
            import os, threading, time
            @server.text_get('/')
            def get(req, args):
                threading.Timer(0.1, setattr, [server, 'done', True]).start()
                time.sleep(600)
            serve()
            print('after', flush=True)
            os._exit(0)
            """)
        self.assertRaises((ConnectionError, http.client.HTTPException), site.ask, "/")
        self.assertTrue(harness.wait_until(lambda: "after" in site.lines), site.lines)


@serving.both_ways
class Interpreter:
    """While a handler has the interpreter's lock, and does not let it go."""

    TEXT = """
        import ctypes, os, ssl
        server.bind_path('/', 'www')
        server.bind_proxy('/back/', 'http://localhost:%d')
        @server.text_get('/hold')
        def hold(req, args):
            fifo = os.open('fifo', os.O_RDWR)
            byte = ctypes.create_string_buffer(1)
            print('holding', flush=True)
            ctypes.PyDLL(None).read(fifo, byte, 1)
            return byte.raw
        server.add_text_get_mask('/free', lambda req, args: 'free')
        """

    def curl(self, *arguments):
        return subprocess.run(["curl", "-sS", "-m", "20", "-w", "%{http_code}", *arguments], capture_output=True).stdout

    def check(self, scheme, more=""):
        os.mkfifo(self.bed.path("fifo"))
        os.mkdir(self.bed.path("www"))
        self.bed.write("www/small.txt", "small")
        self.bed.write("www/large.txt", "x" * 200000)
        back = self.script("server.add_text_get_mask('/x', lambda req, args: 'back')\nserve()", name="back.py")
        site = self.script(harness.dedent(self.TEXT) % back.port + harness.dedent(more) + "serve()\n")
        certificate, url = self.bed.path("cert"), f"{scheme}://localhost:{site.port}"
        answers = {}

        def ask(path):
            answers[path] = self.curl("--cacert", certificate, url + path)

        threads = [threading.Thread(target=ask, args=(path,)) for path in ("/hold", "/free")]
        threads[0].start()
        try:
            self.assertTrue(harness.wait_until(lambda: "holding" in site.lines), site.log)
            threads[1].start()
            for path, body in (("/small.txt", b"small200"), ("/large.txt", b"x" * 200000 + b"200"),
                               ("/nothing", b"404"), ("/back/x", b"back200")):
                self.assertTrue(self.curl("--cacert", certificate, url + path).endswith(body), path)
            tag = "%x" % zlib.crc32(b"small")
            self.assertEqual(b"304", self.curl("--cacert", certificate, "-H", "If-None-Match: " + tag,
                                               url + "/small.txt"))
            self.assertEqual({}, answers)
        finally:
            with open(self.bed.path("fifo"), "wb") as fifo:
                fifo.write(b"!")
            for thread in threads:
                thread.join()
        self.assertEqual({"/hold": b"!200", "/free": b"free200"}, answers)

    def test_files_and_proxy(self):
        self.check("http")

    def test_files_and_proxy_by_https(self):
        self.certify()
        self.check("https", """
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain('cert', 'key')
            server.socket = context.wrap_socket(server.socket, server_side=True)
            """)


@serving.both_ways
class Commands:
    def test_what_they_raise(self):
        """Is logged with the line that was typed, whatever it is; the prompt goes on. SystemExit ends the server."""
        site = self.script("""
            class Base(BaseException):
                pass
            @server.cmd()
            def raise_it(args):
                raise {'error': ValueError('x'), 'interrupt': KeyboardInterrupt(), 'base': Base()}[args[0]]
            @server.cmd()
            def leave(args):
                sys.exit(3)
            serve()
            """)
        for word, shown in (("error", "ValueError: x"), ("interrupt", "KeyboardInterrupt"), ("base", "Base")):
            site.type("raise it " + word)
            self.assertTrue(site.has_logged(f'error in command "raise it {word}":'), site.log)
            self.assertTrue(harness.wait_until(lambda: site.log[-1].endswith(shown), 5), site.log)
        site.type("leave")
        self.assertEqual(0, site.end(), site.log)


@serving.both_ways
class Tokens:
    def test_kinds(self):
        """A dict, and a context manager at once; 32 hexadecimal digits."""
        site = self.script("""
            @server.json_get('/')
            def get(req, args):
                token = server.create_token()
                plain = server.get_token_obj(token)
                plain['a'] = 1
                with server.get_token_obj(token, 100) as obj:
                    obj['b'] = 2
                found = [isinstance(plain, dict), dict(server.get_token_obj(token)), token in server.get_tokens(),
                         3599 < server.get_token_ttl(token) <= 3600, server.get_default_token_expiration()]
                server.get_token_obj(token, 0)
                copy = server.get_token_obj('other', readonly=True)
                return [token, found, server.get_token_obj(token), copy, server.get_token_obj(token, None) == {},
                        server.get_token_ttl(token)]
            serve()
            """)
        token, found, deleted, copy, forever, ttl = json.loads(site.ask("/").body)
        self.assertTrue(re.fullmatch("[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", token), token)
        self.assertEqual([True, {"a": 1, "b": 2}, True, True, 3600], found)
        self.assertEqual(({}, {}, True, None), (deleted, copy, forever, ttl))


if __name__ == "__main__":
    harness.main()
