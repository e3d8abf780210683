"""What a handler can do wrong or unusually: exceptions, results, fields, its process, and the server from within.

The client is told, the log says where, and the next request is answered as if nothing had been.
"""

import http.client
import json
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import serving


def message_of(answer):
    found = re.search("<p>Message: (.*)\\.</p>", answer.text)
    return found and found.group(1)


@serving.both_ways
class Raising:
    def test_every_kind(self):
        """Also what is no Exception, and what would end a thread or the interpreter elsewhere."""
        site = self.script("""
            class Mute(Exception):
                def __str__(self):
                    raise ValueError('no text')
            class Base(BaseException):
                pass
            def recursion(*args):
                return recursion(*args)
            def add(name, error):
                @server.text_get('/' + name)
                def raising(req, args):
                    raise error
            for error in (Exception('x'), SystemExit(3), SystemExit(), KeyboardInterrupt(), GeneratorExit(), Base('b'),
                          MemoryError(), StopIteration(1), Mute(), UnicodeError('\\udc80'), WorkerDeath()):
                add(type(error).__name__, error)
            server.add_text_get_mask('/recursion', recursion)
            server.add_text_get_mask('/memory', lambda req, args: 'x' * (1 << 62))
            server.add_text_get_mask('/fine', lambda req, args: 'fine')
            serve()
            """)
        for name, message in (("Exception", "Exception: x"), ("SystemExit", "SystemExit"),
                              ("KeyboardInterrupt", "KeyboardInterrupt"), ("GeneratorExit", "GeneratorExit"),
                              ("Base", "Base: b"), ("MemoryError", "MemoryError"),
                              ("StopIteration", "StopIteration: 1"), ("Mute", "Mute: &lt;exception str() failed&gt;"),
                              ("UnicodeError", "UnicodeError: ?"), ("WorkerDeath", "WorkerDeath"),
                              ("memory", "MemoryError")):
            answer = site.ask("/" + name)
            self.assertEqual((500, message), (answer.status, message_of(answer)))
            self.assertTrue(site.has_logged(f"error in GET /{name}:"), site.log)
        self.assertTrue(message_of(site.ask("/recursion")).startswith("RecursionError: maximum recursion depth"))
        self.assertEqual("fine", site.ask("/fine").text)
        self.assertEqual([], [line for line in site.log if "ignored" in line])

    def test_only_the_scripts_lines(self):
        """A traceback begins where the script's own code does, and names each of its lines."""
        site = self.script("""
            def inner():
                return {}['missing']
            @server.json_get('/')
            @server.middleware(lambda req, args, okay: okay)
            def outer(req, args):
                return inner()
            serve()
            """)
        site.ask("/")
        self.assertTrue(site.has_logged("KeyError: 'missing'"), site.log)
        frames = [re.sub(".*/", "", line).split() for line in site.log if '  File "' in line]
        self.assertEqual([('site.py",', "outer"), ('site.py",', "inner")],
                         [(words[0], words[-1]) for words in frames])


@serving.both_ways
class Returning:
    def test_json(self):
        """What is no JSON is 500 and says why; what Python's json has an answer for has that one."""
        site = self.script("""
            circle = {}
            circle['a'] = [circle]
            deep = []
            for _ in range(100000):
                deep = [deep]
            values = {'generator': (x for x in ()), 'object': object(), 'set': {1}, 'bytes': {'a': b''}, 'type': int,
                      'key': {b'a': 1}, 'keys': {1: 1, 'a': 2}, 'circle': circle, 'deep': deep, 'long': 10 ** 5000,
                      'surrogate': {'\\udc80': 'a\\udc80'}, 'int': 10 ** 30, 'number': {2: 1, 10: 2}, 'none': {None: 1},
                      'nan': {float('nan'): float('inf')}, 'true': True, 'empty': '', 'tuple': ('a', 404)}
            for name, value in values.items():
                server.add_json_get_mask('/' + name, lambda req, args, value=value: value)
            serve()
            """)
        for name, message in (("generator", "TypeError: Object of type generator is not JSON serializable"),
                              ("object", "TypeError: Object of type object is not JSON serializable"),
                              ("set", "TypeError: Object of type set is not JSON serializable"),
                              ("bytes", "TypeError: Object of type bytes is not JSON serializable"),
                              ("type", "TypeError: Object of type type is not JSON serializable"),
                              ("key", "TypeError: keys must be str, int, float, bool or None, not bytes"),
                              ("keys", "TypeError: '&lt;' not supported between instances of 'str' and 'int'"),
                              ("circle", "ValueError: Circular reference detected")):
            answer = site.ask("/" + name)
            self.assertEqual((500, message), (answer.status, message_of(answer)))
        self.assertTrue(message_of(site.ask("/deep")).startswith("RecursionError: "))
        self.assertTrue(message_of(site.ask("/long")).startswith("ValueError: Exceeds the limit"))
        for name, text in (("surrogate", '{\n  "\\udc80": "a\\udc80"\n}'), ("int", "1" + 30 * "0"), ("true", "true"),
                           ("number", '{\n  "2": 1,\n  "10": 2\n}'), ("none", '{\n  "null": 1\n}'), ("empty", '""'),
                           ("nan", '{\n  "NaN": "Infinity"\n}'), ("tuple", '[\n  "a",\n  404\n]')):
            self.assert_answer((200, text.encode()), site.ask("/" + name))

    def test_text(self):
        site = self.script("""
            values = {'int': 5, 'generator': (x for x in ()), 'dict': {}, 'true': True, 'surrogate': 'a\\udc80',
                      'empty': '', 'bytearray': bytearray(b'abc'), 'memoryview': memoryview(b'abc')}
            for name, value in values.items():
                server.add_text_get_mask('/' + name, lambda req, args, value=value: value)
            serve()
            """)
        for name, kind in (("int", "int"), ("generator", "generator"), ("dict", "dict"), ("true", "bool")):
            answer = site.ask("/" + name)
            self.assertEqual((500, "TypeError: a text handler has returned " + kind),
                             (answer.status, message_of(answer)))
        self.assertTrue(message_of(site.ask("/surrogate")).startswith("UnicodeEncodeError: "))
        for name, body in (("empty", b""), ("bytearray", b"abc"), ("memoryview", b"abc")):
            self.assert_answer((200, body), site.ask("/" + name))

    def test_statuses(self):
        """One that is none is 500; one without a body has none."""
        site = self.script("""
            for code in (99, 100, 1000, 'abc', 204, 304, 299):
                server.add_text_get_mask('/%s' % code, lambda req, args, code=code: Response('x', code))
            @server.text_get('/number')
            def number(req, args):
                raise PreventDefaultResponse(404, 5)
            @server.text_get('/silent')
            def silent(req, args):
                raise PreventDefaultResponse()
            serve()
            """)
        for code in (99, 100, 1000):
            self.assertEqual(f"ValueError: not the status of an answer: {code}", message_of(site.ask(f"/{code}")))
        self.assertEqual(500, site.ask("/abc").status)
        for code, body in ((204, b""), (304, b""), (299, b"x")):
            self.assert_answer((code, body), site.ask(f"/{code}"))
        self.assertEqual((404, "5"), (site.ask("/number").status, message_of(site.ask("/number"))))
        answer = site.ask("/silent")
        self.assertEqual(500, answer.status)
        self.assertIn("The handler has not answered", answer.text)


@serving.both_ways
class Fields:
    TEXT = """
        def answering(path):
            def decorate(function):
                @server.text_get(path)
                def handler(req, args):
                    req.send_response(200, 'a\\r\\nX-Evil: 1')
                    function(req)
                    req.send_header('Content-Length', 1)
                    req.end_headers()
                    req.wfile.write(b'x')
                    raise PreventDefaultResponse()
            return decorate
        @answering('/value')
        def value(req):
            req.send_header('X-A', 'b\\r\\nX-Evil: 1\\r\\n\\r\\n<p>')
        @answering('/name')
        def name(req):
            req.send_header('X-A\\r\\nX-Evil', '1')
        @answering('/space')
        def space(req):
            req.send_header('X A', '1')
        @answering('/text')
        def text(req):
            req.wfile.write('x')
        @answering('/number')
        def number(req):
            req.wfile.write(5)
        @server.text_get('/type')
        def kind(req, args):
            return Response('x', 200, 'text/plain\\r\\nX-Evil: 1')
        @server.text_get('/cookie')
        def cookie(req, args):
            req.send_cookie('a', 'b\\r\\nX-Evil: 1')
            return 'x'
        serve()
        """

    def test_line_ends(self):
        """None of a handler's texts can be more than the one line that it is."""
        site = self.script(self.TEXT)
        for path in ("/value", "/type", "/cookie"):
            answer = site.ask(path)
            self.assertEqual((200, b"x", None), (answer.status, answer.body, answer.headers["X-Evil"]))
        self.assertEqual("a X-Evil: 1", site.ask("/value").reason)
        for path in ("/name", "/space"):
            answer = site.ask(path)
            self.assertEqual((500, None), (answer.status, answer.headers["X-Evil"]))
            self.assertIn("is no name of a header field", message_of(answer))

    def test_what_is_no_bytes(self):
        """bytes(5) would be five zeros."""
        site = self.script(self.TEXT)
        for path, kind in (("/text", "str"), ("/number", "int")):
            answer = site.ask(path)
            self.assertEqual(500, answer.status)
            self.assertIn(f"TypeError: memoryview: a bytes-like object is required, not '{kind}'", message_of(answer))

    def test_lengths(self):
        """Less than was promised is seen by the client; what is more is not sent."""
        site = self.script("""
            @server.text_get('/n', 1)
            def own(req, args):
                req.send_response(200)
                req.send_header('Content-Length', args['paths'][0])
                req.end_headers()
                req.wfile.write(b'abc')
                raise PreventDefaultResponse()
            serve()
            """)
        data = b"GET /n/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for length, body in ((2, b"ab"), (3, b"abc"), (10, b"abc")):
            head, _, found = site.exchange(data % length).partition(b"\r\n\r\n")
            self.assertIn(b"Content-Length: %d" % length, head)
            self.assertEqual(body, found)


@serving.both_ways
class Unusual:
    def test_forks(self):
        """The child answers nobody, and ends with its handler; the parent's answer is the one."""
        site = self.script("""
            import os
            def fork(after):
                pid = os.fork()
                if pid == 0:
                    return after()
                os.waitpid(pid, 0)
                return 'parent'
            server.add_text_get_mask('/returns', lambda req, args: fork(lambda: 'child'))
            server.add_text_get_mask('/raises', lambda req, args: fork(lambda: 1 / 0))
            server.add_text_get_mask('/exits', lambda req, args: fork(lambda: os._exit(0)))
            serve()
            """)
        for path in ("/returns", "/raises", "/exits"):
            self.assert_answer((200, b"parent"), site.ask(path))
            self.assert_answer((200, b"parent"), site.ask(path))

    def test_forks_without_http(self):
        """A child that lives on has the connection as well: its end is the handler's all the same, after all that was
        written, and the client's end is seen. That of a child is none."""
        site = self.script("""
            import os
            reader, writer = os.pipe()
            def fork():
                if os.fork() == 0:
                    os.close(writer)
                    os.read(reader, 1)  # until the parent ends
                    os._exit(0)
            @server.text_get('/long')
            def long(req, args):
                req.wfile.write(b'begun ')
                fork()
                req.wfile.write(b'x' * (1 << 20))
                raise PreventDefaultResponse()
            @server.text_get('/flood')
            def flood(req, args):
                req.wfile.write(b'begun ')
                fork()
                try:
                    while True:
                        req.wfile.write(b'x' * (1 << 20))
                except ConnectionError:
                    print('gone', flush=True)
            @server.text_get('/back')
            def back(req, args):
                req.wfile.write(b'begun ')
                pid = os.fork()
                if pid > 0:
                    os.waitpid(pid, 0)
                    req.wfile.write(b'parent')
                raise PreventDefaultResponse()
            serve()
            """)
        ask = "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n".format
        self.assertEqual(b"begun parent", site.exchange(ask("back").encode()))
        got = site.exchange(ask("long").encode())
        self.assertEqual((b"begun x", 6 + (1 << 20)), (got[:7], len(got)))
        with socket.create_connection(("localhost", site.port), 15) as client:
            client.sendall(ask("flood").encode())
            self.assertEqual(b"begun ", client.recv(6, socket.MSG_WAITALL))
        self.assertTrue(harness.wait_until(lambda: "gone" in site.lines, 15), site.lines)

    def test_no_descriptor_without_http(self):
        """Is said as what it is, not as a client that has gone; the handler can still answer."""
        site = self.script("""
            import errno, os, resource
            def write(req):
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                free = os.dup(0)
                os.close(free)
                resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
                try:
                    req.wfile.write(b'raw')
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            server.add_text_get_mask('/raises', lambda req, args: write(req))
            @server.text_get('/answers')
            def answers(req, args):
                try:
                    write(req)
                except OSError as error:
                    return '%s %s' % (type(error).__name__, errno.errorcode[error.errno])
            serve()
            """)
        self.assertEqual("OSError EMFILE", site.ask("/answers").text)
        answer = site.ask("/raises")
        self.assertEqual((500, "OSError: [Errno 24] Too many open files"), (answer.status, message_of(answer)))
        self.assertTrue(site.has_logged("error in GET /raises:"), site.log)

    def test_thread_that_outlives(self):
        """It can still read what has come; what it would send is an error of its own."""
        site = self.script("""
            import threading, time
            @server.text_get('/')
            def get(req, args):
                def later():
                    time.sleep(0.3)
                    try:
                        req.wfile.write(b'late')
                    except ConnectionError as error:
                        print('late', req.path, req.headers['Host'] is not None, error, flush=True)
                threading.Thread(target=later).start()
                return 'in time'
            serve()
            """)
        self.assertEqual("in time", site.ask("/?a").text)
        line = "late /?a True the request has been answered"
        self.assertTrue(harness.wait_until(lambda: line in site.lines), site.lines)

    def test_thread_that_reads_at_the_end(self):
        """Python collects garbage while a thread asks for the fields: a finalizer waits until the handler has returned
        and others have been answered. They are those of its request all the same."""
        site = self.script("""
            import gc, threading
            class Circle:
                def __init__(self):
                    self.own = self
                def __del__(self):
                    entered.set()
                    leave.wait(20)
            entered, leave = threading.Event(), threading.Event()
            def read(req):
                gc.disable()
                Circle()
                held = [([], (number, number)) for number in range(5000)]  # none is left that need not be made
                ask = req.fields
                gc.enable()
                fields = ask()
                print('marks', *[value for name, value in fields if name.startswith('X-Mark')], flush=True)
            @server.text_get('/read')
            def get(req, args):
                threading.Thread(target=read, args=(req,), daemon=True).start()
                return 'entered' if entered.wait(20) else 'not entered'
            server.add_text_get_mask('/leave', lambda req, args: leave.set() or 'left')
            serve()
            """)
        connection = http.client.HTTPConnection("localhost", site.port, timeout=30)
        for path, mark, text in (("/read", "own", "entered"), ("/leave", "another", "left")):
            connection.request("GET", path, headers={f"X-Mark-{number}": f"{mark}{number}" for number in range(3)})
            self.assertEqual(text, serving.Answer(connection.getresponse()).text)
        self.assertTrue(harness.wait_until(lambda: "marks own0 own1 own2" in site.lines, 15), site.lines)
        connection.close()

    def test_thread_that_waits_for_the_client(self):
        """Its handler returns meanwhile: it is told so, and what was written before that is sent."""
        site = self.script("""
            import threading, time
            @server.text_get('/')
            def get(req, args):
                def write():
                    try:
                        req.wfile.write(b'too late')
                    except ConnectionError as error:
                        print('refused', error, flush=True)
                def waits():
                    return sys._current_frames()[thread.ident].f_code.co_name == 'send_bytes'
                req.send_response(200)
                req.end_headers()
                req.wfile.write(b'x' * (16 << 20))
                thread = threading.Thread(target=write, daemon=True)
                thread.start()
                looks = 0  # in a row: Python's lock is free in between
                while looks < 20:
                    looks = looks + 1 if waits() else 0
                    time.sleep(0.01)
                raise PreventDefaultResponse()
            server.add_text_get_mask('/fine', lambda req, args: 'fine')
            serve()
            """)
        for count in range(1, 4):
            with socket.create_connection(("localhost", site.port), 15) as client:
                client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
                self.assertTrue(harness.wait_until(
                    lambda: site.lines.count("refused the request has been answered") == count, 15), site.lines)
                got = b"".join(iter(lambda: client.recv(1 << 20), b""))
            self.assertEqual(16 << 20, len(got.partition(b"\r\n\r\n")[2]))
        self.assertEqual("fine", site.ask("/fine").text)

    def test_closed_streams(self):
        """Without standard error there is nothing to log to, and that is all."""
        site = self.script("""
            import os
            @server.text_get('/close')
            def close(req, args):
                os.closerange(0, 3)
                return 'closed'
            server.add_text_get_mask('/error', lambda req, args: 1 / 0)
            serve()
            """)
        for path, status in (("/close", 200), ("/error", 500), ("/error", 500)):
            self.assertEqual(status, site.ask(path).status)

    def test_two_servers(self):
        """Of one script, one in a thread; a handler of one may ask the other, and ends both."""
        site = self.script("""
            import threading, urllib.request
            other = create_server(('localhost', 0), parallel=False)
            other.add_text_get_mask('/x', lambda req, args: 'other')
            @server.text_get('/ask')
            def ask(req, args):
                return urllib.request.urlopen('http://localhost:%d/x' % other.server_port, timeout=10).read()
            @server.text_get('/end')
            def end(req, args):
                other.done = server.done = True
                return 'ending'
            thread = threading.Thread(target=other.serve_forever)
            thread.start()
            serve()
            thread.join()
            print('ended', flush=True)
            """)
        for path, text in (("/ask", "other"), ("/ask", "other"), ("/end", "ending")):
            self.assertEqual(text, site.ask(path).text)
        self.assertEqual(0, site.end(), site.log)
        self.assertEqual("ended", site.lines[-1])

    def test_in_a_thread(self):
        """serve_forever() need not be the main thread's."""
        site = self.script("""
            import threading
            server.add_text_get_mask('/x', lambda req, args: 'x')
            server.add_text_get_mask('/error', lambda req, args: 1 / 0)
            @server.text_get('/end')
            def end(req, args):
                server.done = True
                return 'ending'
            thread = threading.Thread(target=serve)
            thread.start()
            thread.join()
            print('ended', server.done, flush=True)
            """)
        for path, status in (("/x", 200), ("/error", 500), ("/x", 200), ("/end", 200)):
            self.assertEqual(status, site.ask(path).status)
        self.assertEqual(0, site.end(), site.log)
        self.assertEqual("ended True", site.lines[-1])

    def test_routes_while_serving(self):
        """Added, and replaced, by a handler: the next request has them. Requests meanwhile are answered by either."""
        site = self.script("""
            import os
            os.makedirs('late', exist_ok=True)
            with open('late/file.txt', 'w') as file:
                file.write('a file')
            @server.text_get('/add')
            def add(req, args):
                number = args['query']['n']
                server.add_text_get_mask('/added', lambda req, args: 'added ' + number)
                server.bind_path('/late/', 'late')
                return number
            serve()
            """)
        self.assertEqual((404, 404), (site.ask("/added").status, site.ask("/late/file.txt").status))
        for number in range(1, 4):
            site.ask(f"/add?n={number}")
            self.assertEqual((f"added {number}", "a file"), (site.ask("/added").text, site.ask("/late/file.txt").text))
        answers = []
        threads = [threading.Thread(target=lambda: answers.extend(site.ask("/added").text for _ in range(50)))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(4, 54):
            site.ask(f"/add?n={number}")
        for thread in threads:
            thread.join()
        self.assertEqual(200, len([text for text in answers if re.fullmatch("added [0-9]+", text)]))
        self.assertEqual("added 53", site.ask("/added").text)

    def test_signal_to_another_thread(self):
        """The kernel chooses the thread; the script's function is called all the same, with nobody asking."""
        site = self.script("""
            import signal, threading
            signal.signal(signal.SIGUSR1, lambda *_: print('signal', threading.current_thread().name, flush=True))
            server.add_text_get_mask('/signal', lambda req, args:
                signal.pthread_kill(threading.get_ident(), signal.SIGUSR1) or threading.current_thread().name)
            serve()
            """)
        self.assertNotEqual("MainThread", site.ask("/signal").text)
        self.assertTrue(harness.wait_until(lambda: "signal MainThread" in site.lines), site.lines)

    def test_serving_twice(self):
        """Is said where it is written."""
        site = self.script("""
            server.add_text_get_mask('/serve', lambda req, args: server.serve_forever())
            serve()
            """)
        self.assertEqual("RuntimeError: the server serves already", message_of(site.ask("/serve")))


@serving.both_ways
class OneByOne:
    """handle_request(): scripts that have a loop of their own."""

    LOOP = """
        import threading
        server.suppress_noise = True
        server.add_text_get_mask('/thread', lambda req, args: threading.current_thread().name)
        print('port', server.server_port, flush=True)
        while not server.done:
            server.handle_request()
            print('answered', flush=True)
        server.server_close()
        """

    def test_a_loop(self):
        """It waits once for each request, on connections that stay and on new ones; `done` ends it."""
        site = self.script(self.LOOP.replace("while", "server.add_text_get_mask('/end', lambda req, args:"
                                             " setattr(server, 'done', True) or 'ended')\n        while", 1))
        connection = http.client.HTTPConnection("localhost", site.port, timeout=15)
        for _ in range(50):
            connection.request("GET", "/thread")
            self.assertEqual(200, serving.Answer(connection.getresponse()).status)
            self.assertEqual(200, site.ask("/thread").status)
        connection.close()
        # The loop may be late, as requests are answered meanwhile; `done` would end it before it has caught up.
        self.assertTrue(harness.wait_until(lambda: site.lines.count("answered") == 100, 20), site.lines)
        self.assertEqual("ended", site.ask("/end").text)
        self.assertEqual(0, site.end(), site.log)
        self.assertIn(site.lines.count("answered"), (100, 101), site.lines)

    def test_one_and_no_more(self):
        """As what waits for a browser's answer does. The script's end is the server's."""
        site = self.script("""
            got = []
            server.add_text_get_mask('/code', lambda req, args: got.append(args['query']['code']) or 'thanks')
            print('port', server.server_port, flush=True)
            server.handle_request()
            print('got', *got)
            """)
        self.assertEqual("thanks", site.ask("/code?code=5").text)
        self.assertEqual(0, site.end(), site.log)
        self.assertEqual("got 5", site.lines[-1])
        self.assertRaises(ConnectionRefusedError, site.ask, "/code?code=6")

    def test_timeout(self):
        site = self.script("""
            server.timeout = 0.05
            server.handle_timeout = lambda: print('in vain', flush=True)
            for _ in range(3):
                server.handle_request()
            server.add_text_get_mask('/text', lambda req, args: 'served')
            serve()
            """)
        self.assertEqual("served", site.ask("/text").text)
        self.assertEqual(["in vain"] * 3, [line for line in site.lines if line == "in vain"])

    def test_one_at_a_time(self):
        """Is called by the thread that waits."""
        site = self.script(self.LOOP, head=serving.HEAD.replace("0))", "0), parallel=False)"))
        self.assertEqual(["MainThread"] * 3, [site.ask("/thread").text for _ in range(3)])

    def test_another_caller(self):
        """Is told so, and ends nothing."""
        site = self.script(harness.dedent("""
            def ask(call):
                try:
                    call()
                except RuntimeError as error:
                    return str(error)
            server.add_text_get_mask('/one', lambda req, args: ask(server.handle_request))
            server.add_text_get_mask('/all', lambda req, args: ask(server.serve_forever))
            """) + harness.dedent(self.LOOP))
        for path in ("/one", "/all", "/one"):
            self.assertEqual("the server serves already", site.ask(path).text)

    def test_children_of_the_loop(self):
        """They end by themselves, and the parent's jobs go on."""
        site = self.script("""
            import time
            print('port', server.server_port, flush=True)
            @server.json_worker('/job', isolate=True)
            def job(args):
                time.sleep(2)
                return 'done'
            server.handle_request()
            child = os.fork()
            if child == 0:
                sys.exit(7)
            print('child', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            server.serve_forever()
            """, head="import os\n" + serving.HEAD)

        def ask(**what):
            answer = site.ask("/job", "POST", json.dumps(what), {"Content-Type": "application/json"})
            self.assertEqual(200, answer.status, answer)
            return json.loads(answer.body)

        token = ask(action="start", payload={})["token"]
        self.assertTrue(harness.wait_until(lambda: "child 7" in site.lines), site.lines)
        answers = []
        harness.wait_until(lambda: answers.append(ask(action="get", token=token)) or answers[-1]["done"], 20, 0.1)
        self.assertEqual('"done"', answers[-1]["result"], answers[-1])

    def test_calls_after_the_end(self):
        site = self.script("""
            server.add_text_get_mask('/end', lambda req, args: setattr(server, 'done', True) or 'ended')
            print('port', server.server_port, flush=True)
            while True:
                server.handle_request()
            """)
        site.ask("/end")
        self.assertTrue(site.has_logged("ValueError: the server has ended"), site.log)

    def test_all_after_one(self):
        """Also where the one has ended it: what has begun is ended as always."""
        site = self.script("""
            server.add_text_get_mask('/text', lambda req, args: 'text')
            server.add_text_get_mask('/end', lambda req, args: setattr(server, 'done', True) or 'ended')
            print('port', server.server_port, flush=True)
            server.handle_request()
            server.serve_forever()
            print('at the end')
            """)
        for ending in (("/text", "/end"), ("/end",)):
            for path in ending:
                self.assertEqual(200, site.ask(path).status)
            self.assertEqual(0, site.end(), site.log)
            self.assertEqual("at the end", site.lines[-1])
            site = self.script(open(self.bed.path("site.py")).read(), head="") if len(ending) > 1 else site

    def test_from_a_handler(self):
        """Closing the server there ends the loop."""
        site = self.script("server.add_text_get_mask('/close', lambda req, args: server.server_close() or 'closed')\n" +
                           harness.dedent(self.LOOP), head=serving.HEAD.replace("0))", "0), parallel=False)"))
        self.assertEqual("closed", site.ask("/close").text)
        self.assertEqual(0, site.end(), site.log)


class Again(serving.Case):
    """A program that has one server after the other."""

    def test_same_port(self):
        """Once a server is closed nobody is connected any more, and the next one can listen there."""
        site = self.script("""
            import http.client, threading
            port = server.server_port
            server.server_close()
            for number in range(3):
                server = quick_server.create_server(('localhost', port))
                server.add_text_get_mask('/', lambda req, args: str(number))
                thread = threading.Thread(target=server.serve_forever)
                thread.start()
                client = http.client.HTTPConnection('localhost', port, timeout=10)
                client.request('GET', '/')
                print(client.getresponse().read().decode(), flush=True)
                client.close()
                server.shutdown()
                thread.join()
                server.server_close()
                try:
                    socket.create_connection(('localhost', port), 5)
                except ConnectionRefusedError:
                    print('refused', flush=True)
            """, head="import socket\n" + serving.HEAD, wait=False)
        self.assertEqual(0, site.end(), site.log)
        self.assertEqual(["0", "refused", "1", "refused", "2", "refused"], site.lines)


class Deaths(serving.Case):
    """What no process survives: `quicken serve` starts it again, and who asks meanwhile waits."""

    served = True

    def test_closed_descriptors(self):
        """The process answers nobody any more. It may end by itself, or has to be ended."""
        site = self.script("""
            import os
            server.add_text_get_mask('/close', lambda req, args: os.closerange(3, 1000))
            server.add_text_get_mask('/pid', lambda req, args: str(os.getpid()))
            serve()
            """)
        first = site.ask("/pid").text
        self.assertRaises(Exception, site.ask, "/close")
        self.assertNotEqual(first, site.ask("/pid").text)
        self.assertTrue(site.has_logged("; started again now"), site.log)


if __name__ == "__main__":
    harness.main()
