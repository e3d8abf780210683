"""`quicken serve`: what becomes of requests, ports and processes when a script is edited, dies, or is ended."""

import http.client
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import served

RELOADS = 20
REQUESTS = int(os.environ.get("QUICKEN_TEST_REQUESTS") or 20000)  # at least, of the load; 100000 for the figure
PID = "server.answer = lambda path: str(os.getpid()) if path == '/pid' else {!r}\n"


def load(port, close, stop, count, results):
    """One client that asks until it is told to stop; puts (answered, failures as texts)."""
    answered, failures = 0, []
    client = None
    while not stop.is_set():
        try:
            client = client or http.client.HTTPConnection("localhost", port, timeout=20)
            client.request("GET", "/version", headers={"Connection": "close"} if close else {})
            response = client.getresponse()
            body = response.read()
            if response.status != 200 or not body.startswith(b"version "):
                raise ValueError(f"{response.status} {body!r}")
            answered += 1
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{type(error).__name__}: {error}")
            client.close()
            client = None
            continue
        if answered % 100 == 0:
            with count.get_lock():
                count.value += 100
        if close:
            client.close()
            client = None
    results.put((answered, failures))


class Load:
    """Clients in processes of their own: half of them keep their connection."""

    def __init__(self, port, clients=4):
        self.stop, self.results = multiprocessing.Event(), multiprocessing.Queue()
        self.count = multiprocessing.Value("q", 0)
        self.clients = [multiprocessing.Process(target=load, args=(port, number % 2 == 1, self.stop, self.count, self.results))
                        for number in range(clients)]
        for client in self.clients:
            client.start()

    def end(self, wanted):
        """(answered, failures), once so many were asked for."""
        harness.wait_until(lambda: self.count.value >= wanted, 500, 0.1)
        self.stop.set()
        parts = [self.results.get(timeout=60) for _ in self.clients]
        for client in self.clients:
            client.join()
        return sum(part[0] for part in parts), [text for part in parts for text in part[1]]


class Loaded:
    """With `version(number)`, which edits the script; its path /version says which it is."""

    def test_under_load(self):
        """No request fails while the script is edited: on connections that are kept, and on new ones."""
        self.version(0)
        self.serve()
        clients = Load(self.port())
        for number in range(1, RELOADS + 1):
            self.version(number)
            wanted = f"version {number}"
            self.assertTrue(harness.wait_until(lambda: self.get("/version") == wanted, 60), self.log())
        answered, failures = clients.end(REQUESTS)
        print(f"{RELOADS} reloads, {answered} requests, {len(failures)} failed", flush=True)
        self.assertEqual([], failures[:5], f"{len(failures)} of {answered}\n{self.log()}")
        self.assertGreaterEqual(answered, REQUESTS)


class Engine(Loaded, served.Case):
    """A script of quick_server's, on the engine."""

    def version(self, number):
        self.bed.write("app.new", f"""
            import os
            from quick_server import create_server

            server = create_server(("localhost", 0), parallel=True)
            server.suppress_noise = True
            with open("port.new", "w") as file:
                file.write(str(server.server_address[1]))
            os.rename("port.new", "port")

            @server.text_get("/version")
            def version(req, args):
                return "version {number}"

            server.serve_forever()
            """)
        os.rename(self.bed.path("app.new"), self.bed.path("app.py"))

    def answer(self):
        try:
            return self.get("/version")
        except OSError:
            return ""


class StandIn(Loaded, served.Case):
    def version(self, number):
        self.answering(f"version {number}")


class Reload(served.Case):
    def test_idle_connection_goes_over(self):
        """A connection between two requests is the successor's: the client notices nothing."""
        self.answering("one")
        self.serve()
        client = http.client.HTTPConnection("localhost", self.port(), timeout=20)
        client.request("GET", "/")
        self.assertEqual(b"one", client.getresponse().read())
        number = client.sock.fileno()
        local = client.sock.getsockname()
        self.answering("two")
        self.wait_answer("two")
        client.request("GET", "/")
        self.assertEqual(b"two", client.getresponse().read())
        self.assertEqual((number, local), (client.sock.fileno(), client.sock.getsockname()))
        client.close()

    def test_failing_code(self):
        """What does not start is complained about, and what served goes on; the next edit is tried."""
        self.answering("one")
        self.serve()
        for broken, shown in (("1 +", "SyntaxError"), ("raise ValueError('no')", "ValueError: no"),
                              ("os._exit(3)", "ended with status 3 before it served; still serving the version of")):
            self.script(broken)
            self.wait_log("still serving the version of", self.log().count("still serving") + 1)
            self.assertIn(shown, self.log())
            self.assertEqual("one", self.get())
        self.answering("two")
        self.wait_answer("two")

    def test_start_that_never_serves(self):
        self.answering("one")
        self.serve(options=["--start-timeout", "1"])
        self.answering("never", "time.sleep(60)")
        self.wait_log("did not serve within 1 seconds; still serving the version of")
        self.assertEqual("one", self.get())

    def test_edit_while_a_start_hangs(self):
        """The edit that mends it is not put off until the start's time is over."""
        self.answering("one")
        self.serve()
        self.answering("never", "print('hangs', flush=True); time.sleep(600)")
        self.wait_log("hangs")
        self.answering("three")
        self.wait_answer("three", 20)
        self.assertIn("did not serve within 5 seconds of the next edit; still serving", self.log())

    def test_edit_while_a_start_takes_its_time(self):
        """What has always started slowly is let."""
        self.answering("one", "time.sleep(6)")
        self.serve()
        self.answering("two", "print('slow', flush=True); time.sleep(7)")
        self.wait_log("slow")
        self.answering("three")
        self.wait_answer("three", 20)
        self.assertEqual(2, self.log().count("serving the version of"), self.log())

    def test_edit_while_starting(self):
        """One successor at a time; what was edited meanwhile is served in the end."""
        self.answering("one")
        self.serve()
        self.answering("two", "print('slow', flush=True); time.sleep(1.5)")
        self.wait_log("slow")
        self.answering("three")
        self.wait_answer("three", 15)
        self.assertEqual(2, self.log().count("serving the version of"), self.log())

    def test_writes_its_own_module(self):
        """A script that writes a module of its own at each start is soon started less often, and no edit is lost."""
        def script(text):
            self.script("n = int(open('n').read()) + 1\nopen('n', 'w').write(str(n))\n"
                        "open('part.py', 'w').write('N = %d' % n)\nimport part\nserver.watch(part.__file__)\n"
                        "time.sleep(0.3)\n"
                        f"server.answer = lambda path: {text!r}")
        self.bed.write("n", "0")
        script("one")
        self.serve(env={"PYTHONDONTWRITEBYTECODE": "1"})
        script("two")
        self.wait_log("it is edited at each start, perhaps by the script", seconds=30)
        starts = int(served.text_of(self.bed.path("n")))
        # The next ones come after 1, 2, 4 … s.
        time.sleep(5)
        self.assertLessEqual(int(served.text_of(self.bed.path("n"))) - starts, 4, self.log())
        script("three")
        self.wait_answer("three", 60)
        self.assertEqual(1, self.log().count("it is edited at each start"), self.log())

    def test_edits_while_starting(self):
        """Be they ever so many, the last one is served."""
        self.answering("0")
        self.serve()
        for number in range(1, 13):
            before = self.log().count("has changed")
            self.answering(str(number), "time.sleep(0.5)")
            # Seen, so that the next one is an edit of its own, most often while this one starts.
            self.wait_log("has changed", before + 1)
        self.wait_answer("12", 60)

    def test_busy_directory(self):
        """What goes on with other files beside the script does not put off that it is seen."""
        self.answering("one", """
            import threading
            def write():
                while True:
                    with open('journal', 'w'):
                        time.sleep(0.05)
                    os.unlink('journal')
            threading.Thread(target=write, daemon=True).start()
            """)
        self.serve()
        self.answering("two")
        self.wait_answer("two", 20)

    def test_linked_script(self):
        """A link's file is edited where it is, also once the link leads elsewhere."""
        for release in ("first", "second"):
            os.mkdir(self.bed.path(release))
            os.rename(self.answering(release), self.bed.path(release + "/app.py"))
        os.symlink("first/app.py", self.bed.path("app.py"))
        self.serve()
        os.symlink("second/app.py", self.bed.path("link"))
        os.rename(self.bed.path("link"), self.bed.path("app.py"))
        self.wait_answer("second")
        with open(self.bed.path("second/app.py")) as file:
            text = file.read().replace("'second'", "'third'")
        self.bed.write("second/app.py", text)
        self.wait_answer("third")

    def test_directory_in_its_place(self):
        """What served goes on where a directory is put in the script's place, until there is a script again."""
        path = self.answering("one")
        self.serve()
        os.rename(path, path + ".old")
        os.mkdir(path)
        self.wait_log("before it served; still serving the version of")
        self.assertEqual("one", self.get())
        os.rmdir(path)
        self.answering("two")
        self.wait_answer("two")

    def test_module(self):
        """A module that the script has named as a reason to start anew."""
        self.bed.write("part.py", "TEXT = 'one'")
        self.script("import part; server.watch(part.__file__); server.answer = lambda path: part.TEXT")
        self.serve(env={"PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual("one", self.get())
        self.bed.write("part.py", "TEXT = 'other'")
        self.wait_answer("other")

    def test_module_that_was_missing(self):
        """What a start has failed for is tried again once it is there: a module, also one in a new directory."""
        self.answering("one")
        self.serve()
        for number, name in enumerate(("part.py", "pack/__init__.py", "pack/part.py")):
            module = name.replace("/__init__", "")[:-3].replace("/", ".")
            self.script(f"import {module} as part\nserver.answer = lambda path: part.TEXT")
            self.wait_log("before it served; still serving", number + 1)
            if "/__init__" in name:
                os.mkdir(self.bed.path("pack"))
            self.bed.write(name, f"TEXT = {name!r}")
            self.wait_answer(name)

    def test_module_that_is_mended(self):
        """It was never imported, nor was the package that it is in."""
        self.answering("one")
        self.serve()
        os.mkdir(self.bed.path("pack"))
        self.bed.write("pack/__init__.py", "")
        for number, module in enumerate(("part", "pack.part")):
            path = module.replace(".", "/") + ".py"
            self.bed.write(path, "TEXT = = 'wrong'")
            self.script(f"import {module} as part\nserver.answer = lambda path: part.TEXT")
            self.wait_log("before it served; still serving", number + 1)
            starts = self.log().count("Traceback")
            self.bed.write(path + "~", "what an editor leaves")
            self.bed.write(".#part.py", "and this")
            time.sleep(0.5)
            self.assertEqual(starts, self.log().count("Traceback"), "neither is a module")
            self.bed.write(path, f"TEXT = {module!r}")
            self.wait_answer(module)

    def test_without_change(self):
        """A file that was only opened or written as it was is no edit that matters; --no-reload sees none."""
        path = self.answering("one")
        self.serve(options=["--no-reload"])
        self.answering("two")
        time.sleep(1)
        self.assertEqual("one", self.get())
        self.assertTrue(os.path.exists(path))

    def test_ways_to_reload(self):
        """SIGHUP, and the script's own wish."""
        self.script(PID.format("x") + "server.commands['x'] = None\n"
                    "import threading\n"
                    "old = server.answer\n"
                    "server.answer = lambda path: server.control.tell(do='restart') or 'ok' if path == '/restart' else old(path)")
        process = self.serve()
        first = self.serving_pid()
        process.send_signal(signal.SIGHUP)
        self.assertTrue(harness.wait_until(lambda: self.serving_pid() != first, 10), self.log())
        second = self.serving_pid()
        self.assertEqual("ok", self.get("/restart"))
        self.assertTrue(harness.wait_until(lambda: self.serving_pid() != second, 10), self.log())

    def test_ports_that_change(self):
        """A port that only the old code had is closed, one that both have is not, and a new one is opened."""
        def script(*ports):
            listens = "".join(f"server.listeners.append(server.listen('localhost', {port}))\n" for port in ports)
            self.answering(str(ports), listens)

        def open_ports():
            found = []
            for port in (21610, 21611):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        found.append(port)
            return found

        script(21610)
        self.serve()
        port = self.port()
        self.assertEqual([21610], open_ports())
        script(21611)
        self.wait_answer("(21611,)")
        self.assertTrue(harness.wait_until(lambda: open_ports() == [21611], 5), open_ports())
        self.assertEqual(port, self.port())

    def test_address_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            self.script(f"server.listen('localhost', {other.getsockname()[1]})")
            process = self.serve(wait=False)
            self.assertEqual(1, process.wait(20))
        self.assertIn("OSError: [Errno 98] Address already in use", self.log())

    def test_unix_socket(self):
        path = self.bed.path("sock")
        self.answering("unix", f"server.listeners.append(server.listen({path!r}, 0))")
        process = self.serve()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertIn(b"unix", client.recv(1000))
        process.terminate()
        process.wait(10)
        self.assertFalse(os.path.exists(path))


class Deaths(served.Case):
    def test_crashes(self):
        """Whatever a request does to the process, the port stays open and the next request is answered."""
        self.script(PID.format("alive") + harness.dedent("""
            import ctypes, signal
            deaths = {
                "/exit": lambda: os._exit(0),
                "/three": lambda: os._exit(3),
                "/segfault": lambda: ctypes.string_at(0),
                "/kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
                "/abort": lambda: os.abort(),
            }
            old = server.answer
            server.answer = lambda path: deaths[path]() if path in deaths else old(path)
            """))
        self.serve()
        for path, shown in (("/exit", "ended with status 0"), ("/three", "ended with status 3"),
                            ("/segfault", "killed by signal 11"), ("/kill", "killed by signal 9")):
            before = self.serving_pid()
            with self.assertRaises((OSError, http.client.HTTPException)):
                self.get(path)
            # At once: this connection waits in the backlog, if anywhere.
            self.assertNotEqual(before, self.serving_pid())
            self.assertIn(f"{shown}", self.log())
            self.assertIn("started again now", self.log())

    def test_messages_of_a_wrong_type(self):
        """A script's mistake does not end the supervisor, and a wish for a socket is answered."""
        self.script(PID.format("alive") + harness.dedent("""
            def say(path):
                for message in ({"do": 5}, {"do": "watch", "files": 5}, {"do": "serving", "drain_timeout": "x"},
                                {"do": "ran", "id": "x"}, {"do": "words", "id": {}, "words": 5}, {"do": None}):
                    server.control.tell(**message)
                texts = []
                for address, port in (("localhost", "80"), (None, 80), ("localhost", 99999)):
                    try:
                        server.listen(address, port)
                    except OSError as error:
                        texts.append(str(error.errno))
                return " ".join(texts)
            old = server.answer
            server.answer = lambda path: say(path) if path == "/say" else old(path)
            """))
        process = self.serve()
        before = self.serving_pid()
        self.assertEqual("22 22 22", self.get("/say"))
        self.assertEqual((before, None), (self.serving_pid(), process.poll()))

    def test_closed_descriptors(self):
        """One that lives but can be told nothing, nor answer, is started again."""
        self.script("server.answer = lambda path: 'x' if path == '/' else [os.closerange(3, 1000), time.sleep(100)]")
        self.serve()
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.get("/close")
        self.wait_answer("x", 15)
        self.assertIn("has closed descriptors that are the server's, and was killed", self.log())

    def test_again_and_again(self):
        """Five times at once, then after a pause; meanwhile connections wait."""
        self.script("server.answer = lambda path: os._exit(1) if path == '/die' else 'alive'")
        self.serve()
        for _ in range(6):
            with self.assertRaises((OSError, http.client.HTTPException)):
                self.get("/die")
        self.assertTrue(self.listens())
        begun = time.monotonic()
        self.assertEqual("alive", self.get())
        self.assertGreater(time.monotonic() - begun, 0.3)
        self.wait_log("started again in 1 s")

    def test_restart_status(self):
        """A script that ends with 42 is started anew, and knows that it is not the first."""
        self.script("first = 'QUICK_SERVER_SUBSEQ' not in os.environ\n"
                    "server.answer = lambda path: str(first)\n"
                    "if first:\n"
                    "    old = server.answer\n"
                    "    def answer(path):\n"
                    "        if path == '/again':\n"
                    "            server.status = 42\n"
                    "            server.leave(True)\n"
                    "        return str(first)\n"
                    "    server.answer = answer")
        self.serve()
        self.assertEqual("True", self.get())
        self.get("/again")
        self.wait_answer("False")

    def test_own_end(self):
        """A script that leaves by itself ends the supervisor with its status."""
        self.script("def answer(path):\n"
                    "    if path == '/leave':\n"
                    "        server.status = 7\n"
                    "        server.leave()\n"
                    "    return 'x'\n"
                    "server.answer = answer")
        process = self.serve()
        self.get("/leave")
        self.assertEqual(7, process.wait(10))
        self.assertFalse(self.listens())

    def test_first_start_fails(self):
        self.script("sys.exit(5)")
        self.assertEqual(5, self.serve(wait=False).wait(20))
        self.script("os.kill(os.getpid(), 15)")
        self.assertEqual(-15, self.serve(wait=False).wait(20))

    def test_no_script(self):
        process = self.serve(wait=False)
        self.assertEqual(2, process.wait(20))  # as python3's
        self.assertIn("can't open file", self.log())


class Ends(served.Case):
    def test_terminate(self):
        self.answering("x")
        process = self.serve()
        process.terminate()
        self.assertEqual(0, process.wait(10))
        self.assertFalse(self.listens())

    def test_interrupt(self):
        """Ctrl-C is the script's KeyboardInterrupt, and its end ours."""
        self.answering("x")
        process = self.serve()
        process.send_signal(signal.SIGINT)
        self.assertEqual(-signal.SIGINT, process.wait(10))
        self.assertIn("KeyboardInterrupt", self.log())

    def test_deaf_script(self):
        """One that heeds neither a stop nor a signal is killed by the third."""
        self.script("import signal\n"
                    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
                    "server.answer = lambda path: 'x'\n"
                    "server.do_stop = lambda *_: None")
        term, interrupt = signal.SIGTERM, signal.SIGINT
        for numbers in ((term, term, term), (interrupt, interrupt, interrupt), (interrupt, term, interrupt)):
            process = self.serve()
            self.three_times(process, numbers)
            self.assertFalse(self.listens())

    def three_times(self, process, numbers=(signal.SIGTERM,) * 3, status=-signal.SIGKILL):
        """The third signal ends it at once, whatever they are."""
        for number in numbers:
            self.assertIsNone(process.poll(), self.log())
            process.send_signal(number)
            time.sleep(0.3)
        self.assertEqual(status, process.wait(3), self.log())

    def test_deaf_while_starting(self):
        self.script("import signal\n"
                    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
                    "print('slow', flush=True)\n"
                    "time.sleep(100)")
        process = self.serve(wait=False)
        self.wait_log("slow")
        self.three_times(process)

    def test_asked_once(self):
        """A script that is deaf is killed in the end, even if it has not served yet."""
        deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nserver.do_stop = lambda *_: None\n"
        for body in (deaf + "print('deaf', flush=True)\ntime.sleep(100)",
                     deaf + "server.answer = lambda path: 'x'\nprint('deaf', flush=True)"):
            self.script(body)
            process = self.serve(options=["--set", "drain_timeout=0"], wait=False)
            self.wait_log("deaf", self.log().count("deaf") + 1)
            time.sleep(0.5)
            process.terminate()
            self.assertEqual(-signal.SIGKILL, process.wait(10), self.log())

    def test_while_one_drains(self):
        """Nor is a predecessor waited for that answers for long."""
        self.answering("one", "server.answer = lambda path: time.sleep(60) or 'x' if path == '/slow' else 'one'")
        process = self.serve()
        slow = http.client.HTTPConnection("localhost", self.port(), timeout=20)
        self.addCleanup(slow.close)
        slow.request("GET", "/slow")
        time.sleep(0.3)
        self.answering("two")
        self.wait_log("serving the version of")
        self.three_times(process, status=0)

    def test_in_a_pause(self):
        self.script("server.answer = lambda path: os._exit(1) if path == '/die' else 'alive'")
        process = self.serve()
        for _ in range(6):
            with self.assertRaises((OSError, http.client.HTTPException)):
                self.get("/die")
        self.wait_log("started again in 1 s")
        process.terminate()
        process.wait(5)

    def test_stopped_script(self):
        """One that does not run at all is killed, too."""
        self.script(PID.format("x"))
        process = self.serve()
        os.kill(self.serving_pid(), signal.SIGSTOP)
        self.three_times(process)

    def test_directory_removed(self):
        """What is served need not be there any more, nor the working directory."""
        self.answering("one")
        directory = self.bed.path("gone")
        for edited in (False, True):
            os.mkdir(directory)
            shutil.copy(self.bed.path("app.py"), directory)
            with open(self.bed.path("log"), "ab") as log:
                process = subprocess.Popen([harness.QUICKEN, "serve", "app.py"], env=self.bed.env(), cwd=directory,
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.addCleanup(self.end, process)
            port = os.path.join(directory, "port")
            self.assertTrue(harness.wait_until(lambda: served.text_of(port), 10), self.log())
            time.sleep(0.5)
            if edited:
                os.utime(os.path.join(directory, "app.py"))
            shutil.rmtree(directory)
            self.assertEqual(["serving"], [line.split()[0] for line in
                                           self.bed.ctl("serve", "list").stdout.decode().splitlines()])
            process.terminate()
            self.assertEqual(0, process.wait(5), self.log())

    def test_dump(self):
        """A script may heed SIGQUIT and go on; it is served and reloaded as before. Else it dies of it."""
        self.answering("one", "import signal\nsignal.signal(signal.SIGQUIT, lambda *_: print('dump', flush=True))")
        process = self.serve()
        process.send_signal(signal.SIGQUIT)
        self.wait_log("dump")
        self.answering("two")
        self.wait_answer("two")
        process.send_signal(signal.SIGQUIT)
        self.assertEqual(-signal.SIGQUIT, process.wait(5))

    def test_killed_supervisor(self):
        """Its end is the script's. The socket that it could not remove goes with the next look at what is served."""
        self.answering("x")
        process = self.serve()
        process.kill()
        process.wait()
        self.assertTrue(harness.wait_until(lambda: not self.listens(), 10))
        self.assertEqual((0, b"", b""), self.bed.ctl("serve", "list"))

    def test_killed_while_starting(self):
        self.answering("x")
        process = self.serve()
        self.answering("y", "print('slow', flush=True); time.sleep(3)")
        self.wait_log("slow")
        process.terminate()
        self.assertEqual(0, process.wait(10))

    def test_ignored_signals_stay_so(self):
        """As nohup has it, and a shell for what it runs in the background."""
        self.answering("x")
        process = self.serve(env=None)
        self.end(process)
        with open(self.bed.path("log"), "ab") as log:
            process = subprocess.Popen(
                ["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh", harness.QUICKEN, "serve", self.bed.path("app.py")],
                env=self.bed.env(), cwd=self.bed.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.end, process)
        self.wait_answer("x")
        for number in (signal.SIGINT, signal.SIGHUP):
            process.send_signal(number)
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        self.assertEqual("x", self.get())


class Surroundings(served.Case):
    def from_shell(self, words):
        """A `quicken serve` that a shell starts so: "$@" is it."""
        with open(self.bed.path("log"), "ab") as log:
            process = subprocess.Popen(["sh", "-c", words, "sh", harness.QUICKEN, "serve", self.bed.path("app.py")],
                                       env=self.bed.env(), cwd=self.bed.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.end, process)
        self.wait_answer("x")
        return process

    def test_ignored_children(self):
        """Who starts it may ignore SIGCHLD."""
        self.answering("x")
        process = self.from_shell("trap '' CHLD; exec \"$@\"")
        process.terminate()
        self.assertEqual(0, process.wait(5))

    def test_closed_streams(self):
        """For the script they are closed, and no descriptor of the supervisor's has their numbers."""
        self.script("server.answer = lambda path: 'x' if path == '/' else repr([sys.stdin, sys.stdout, sys.stderr])")
        for words in ("exec \"$@\" <&-", "exec \"$@\" >&-", "exec \"$@\" 2>&-", "exec \"$@\" <&- >&- 2>&-"):
            process = self.from_shell(words)
            for number in range(3):
                self.assertRegex(os.readlink(f"/proc/{process.pid}/fd/{number}"), "^/dev/null$|/log$")
            if "<&- >" in words:
                self.assertEqual("[None, None, None]", self.get("/streams"))
            process.terminate()
            self.assertEqual(0, process.wait(5))

    def test_nobody_reads(self):
        """A pipe that is full keeps it neither from starting anew nor from ending."""
        self.answering("x")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.set_blocking(writer, False)
        with self.assertRaises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        process = subprocess.Popen([harness.QUICKEN, "serve", self.bed.path("app.py")], env=self.bed.env(),
                                   cwd=self.bed.work, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
        os.close(writer)
        self.addCleanup(self.end, process)
        self.wait_answer("x")
        self.answering("y")
        self.wait_answer("y")
        process.terminate()
        self.assertEqual(0, process.wait(10))

    def test_environment_and_arguments(self):
        """What protocol.hpp says, and nothing of an outer `quicken serve`."""
        self.script("names = ('PYTHONPATH', 'QUICKEN_SERVE_PYTHONPATH', 'QUICK_SERVER_RESTART', 'QUICK_SERVER_SUBSEQ', "
                    "'QUICKEN_SERVE_SETTINGS')\n"
                    "server.answer = lambda path: repr([sys.argv[1:], [os.environ.get(name) for name in names], "
                    "os.getsid(0) != int(os.environ['OUTER']), os.getcwd()])")
        package = os.path.join(harness.PREFIX, "libexec", "quicken", "python")
        env = {"OUTER": str(os.getsid(0)), "QUICK_SERVER_SUBSEQ": "1"}
        process = self.serve("a", "--idle", "b", env=env)
        self.assertEqual(repr([["a", "--idle", "b"], [package, None, "42", None, None], True, self.bed.work]), self.get())
        self.end(process)
        self.serve(options=["--set", "max_body=1000", "--set", "idle_timeout=0.5"], env={**env, "PYTHONPATH": "/x"})
        self.assertEqual(repr([[], [package + ":/x", "/x", "42", None, '{"idle_timeout":0.5,"max_body":1000}'], True,
                               self.bed.work]), self.get())

    def test_usage(self):
        for words, text in (([], "which script?"), ([""], "which script?"), (["--nope", "x.py"], "no such option"),
                            (["--set", "x=1", "x.py"], "there is no setting x"),
                            (["--set", "max_body=-1", "x.py"], "not negative"), (["-p", "1", "x.py"], "belong to --www"),
                            (["--www", ".", "x.py"], "takes no script")):
            result = self.bed.run([harness.QUICKEN, "serve", *words])
            self.assertEqual((2, b""), (result.status, result.stdout))
            self.assertIn(text, result.stderr.decode())
        self.assertIn(b"Usage: quicken serve", self.bed.run([harness.QUICKEN, "serve", "--help"]).stdout)

    def test_warm(self):
        """What the script imports before its server is made is there when it is started again."""
        self.script("server.answer = lambda path: 'one' if path == '/' else os._exit(1)")
        self.serve(env={"QUICKEN_VERBOSE": "1"})
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.get("/die")
        self.assertEqual("one", self.get())
        self.wait_log("quicken: warm run")

    def test_files(self):
        """--www: the same without a script."""
        self.bed.write("page.html", "text")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.bed.write("port", str(port))
        process = subprocess.Popen([harness.QUICKEN, "serve", "--no-prompt", "--www", self.bed.work, "-p", str(port)],
                                   env=self.bed.env(), cwd="/", stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(self.end, process)
        self.assertTrue(harness.wait_until(self.listens, 10))
        self.assertEqual("text", self.get("/page.html"))
        self.assertEqual(0, self.bed.ctl("reload").status)
        self.assertEqual("text", self.get("/page.html"))
        process.terminate()
        self.assertEqual(0, process.wait(10))
        log = process.stderr.read().decode()
        line = f"[SERVER] serving {os.path.realpath(self.bed.work)} at http://localhost:{port}/\n"
        self.assertEqual(1, log.count(line), log)

    def test_plain_python(self):
        """Without a warm server it is the same."""
        self.answering("one")
        self.serve(env={"QUICKEN_DISABLE": "1"})
        self.answering("two")
        self.wait_answer("two")


if __name__ == "__main__":
    harness.main()
