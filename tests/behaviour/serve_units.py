"""`quicken serve` under systemd and over D-Bus: socket activation, idle exit, reload, stop, what is left."""

import concurrent.futures
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import served

PORT = 21620


class Bus(served.Case):
    """Without systemd: quickenctl finds what was started by hand."""

    def serve_ctl(self, *words):
        return self.bed.ctl("serve", *words)

    def status(self, *words):
        return json.loads(self.serve_ctl("status", "--json", *words).stdout)

    def test_status(self):
        path = self.answering("one", "server.watch(__file__)")
        process = self.serve("a", "b c")
        status = self.status()
        self.assertEqual([path, ["a", "b c"], "serving", [f"http://localhost:{self.port()}"], process.pid, 0, "", False],
                         [status[name] for name in ("script", "arguments", "state", "addresses", "supervisor", "reloads",
                                                    "last_error", "activated")])
        self.assertEqual(status, self.status(path))
        self.assertEqual(status, self.status(status["id"][:6]))
        self.assertEqual([status], json.loads(self.serve_ctl("list", "--json").stdout))
        shown = self.serve_ctl("status").stdout.decode()
        self.assertRegex(shown, r"state +serving\n")
        self.assertRegex(shown, rf"addresses +http://localhost:{self.port()}\n")
        self.assertEqual(1, self.serve_ctl("status", "/nonexistent.py").status)

    def test_reload(self):
        """It says how that has gone; `quickenctl reload` and `quicken reload` are the same."""
        self.script("server.answer = lambda path: str(os.getpid())")
        self.serve()
        for command in ([harness.QUICKENCTL, "serve", "reload"], [harness.QUICKENCTL, "reload", self.bed.path("app.py")],
                        [harness.QUICKEN, "reload"]):
            before = self.get()
            self.assertEqual((0, b"", b""), self.bed.run(command))
            self.assertNotEqual(before, self.get())
        self.assertEqual(3, self.status()["reloads"])

    def test_reload_that_fails(self):
        self.answering("one")
        self.serve(options=["--no-reload"])
        self.script("sys.exit(9)")
        failed = self.bed.ctl("reload")
        self.assertEqual((1, b"quickenctl reload: the new process ended with status 9 before it served\n"),
                         (failed.status, failed.stderr))
        self.assertEqual(("serving", "the new process ended with status 9 before it served"),
                         (self.status()["state"], self.status()["last_error"]))
        self.answering("two")
        self.assertEqual(0, self.bed.ctl("reload").status)
        self.assertEqual(("two", ""), (self.get(), self.status()["last_error"]))

    def test_reload_of_what_has_died(self):
        """It says why it cannot be started again."""
        self.script("server.answer = lambda path: str(os.getpid())")
        self.serve(options=["--no-reload"])
        pid = int(self.get())
        self.script("sys.exit(9)")
        os.kill(pid, signal.SIGKILL)
        # It is tried again and again, and a start that fails is an answer to whoever waits.
        self.wait_log("the script's process ended with status 9; started again in 1 s")
        failed = self.bed.ctl("reload")
        self.assertEqual((1, b"quickenctl reload: the script's process ended with status 9\n"),
                         (failed.status, failed.stderr))

    def test_enable_without_a_manager(self):
        self.answering("one")
        result = self.serve_ctl("enable", self.bed.path("app.py"), "--port", "80")
        self.assertEqual((1, b""), (result.status, result.stdout))
        self.assertIn(b"quickenctl serve: there is no service manager of the user's (systemd --user): connect ", result.stderr)

    def test_names_of_directories(self):
        """However --www was given, its directory is found by each of its names."""
        os.mkdir(self.bed.path("www"))
        for name, directory in (("www/", self.bed.work), (".", self.bed.path("www")), ("../www", self.bed.path("www"))):
            process = subprocess.Popen([harness.QUICKEN, "serve", "--no-prompt", "--www", name, "-p", "0"],
                                       env=self.bed.env(), cwd=directory, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                for known in ("www", "www/", self.bed.path("www"), "./www/."):
                    self.assertTrue(harness.wait_until(lambda: self.serve_ctl("status", known).status == 0, 10), known)
                self.assertEqual(self.bed.path("www"), self.status()["script"])
            finally:
                process.terminate()
                process.wait(20)

    def test_stop(self):
        self.answering("one")
        process = self.serve()
        self.assertEqual(0, self.serve_ctl("stop").status)
        self.assertEqual(0, process.wait(10))
        self.assertEqual(1, self.serve_ctl("stop").status)

    def test_two_of_one_script(self):
        """They have names of their own, and have to be named."""
        self.answering("one")
        first, second = self.serve(), self.serve()
        self.assertTrue(harness.wait_until(lambda: len(json.loads(self.serve_ctl("list", "--json").stdout)) == 2, 5))
        several = self.bed.ctl("reload", self.bed.path("app.py"))
        self.assertEqual(1, several.status)
        self.assertIn(b"more than one is meant", several.stderr)
        ids = {entry["supervisor"]: entry["id"] for entry in json.loads(self.serve_ctl("list", "--json").stdout)}
        self.assertEqual(0, self.serve_ctl("stop", ids[second.pid]).status)
        self.assertEqual(0, second.wait(10))
        self.assertIsNone(first.poll())

    def test_killed(self):
        """The socket of one that was killed is in nobody's way."""
        self.answering("one")
        process = self.serve()
        process.kill()
        process.wait()
        self.assertTrue(harness.wait_until(lambda: not self.listens(), 10))
        self.assertEqual([], json.loads(self.serve_ctl("list", "--json").stdout))
        self.serve()
        self.assertEqual(1, len([name for name in self.bed.socket_files() if name.endswith(".serve")]))


class Idle(served.Case):
    def test_end(self):
        """When nobody has asked for so long, and no connection is open."""
        self.answering("one")
        process = self.serve(options=["--idle", "1"])
        with socket.create_connection(("localhost", self.port())):
            time.sleep(2)
            self.assertIsNone(process.poll())
        begun = time.monotonic()
        self.assertEqual(0, process.wait(10))
        self.assertLess(time.monotonic() - begun, 6)

    def test_busy(self):
        """A script that says so goes on."""
        self.script("server.leave_idle = False")
        process = self.serve(options=["--idle", "0.3"])
        time.sleep(1.5)
        self.assertIsNone(process.poll())
        self.assertEqual("hello", self.get())


class Units(served.Case):
    activation = "systemd"

    def setUp(self):
        super().setUp()
        self.bed.environment["HOME"] = os.environ["HOME"]  # where the manager looks
        self.addCleanup(self.assert_no_units)

    def serve_ctl(self, *words):
        return self.bed.ctl("serve", *words)

    def enable(self, *words, path=None):
        path = path or self.bed.path("app.py")
        result = self.serve_ctl("enable", path, *words)
        self.assertEqual((0, b""), (result.status, result.stderr))
        return result.stdout.decode()

    def files(self):
        places = (os.path.expanduser("~/.config/systemd/user"), os.path.join(self.bed.runtime, "systemd/user"))
        return [path for place in places for pattern in ("quicken-serve*", "*/quicken-serve*")
                for path in glob.glob(os.path.join(place, pattern))]

    def assert_no_units(self):
        for unit in self.loaded():
            self.serve_ctl("disable", unit.partition("@")[2].rpartition(".")[0])
        self.assertEqual([], self.files())
        self.assertEqual([], self.loaded())

    def loaded(self):
        listed = self.bed.systemctl("list-units", "--all", "--plain", "--no-legend", "quicken-serve@*").stdout.decode()
        return [line.split()[0] for line in listed.splitlines() if line.strip()]

    def active(self, kind):
        return self.bed.systemctl("is-active", f"quicken-serve@app.{kind}").stdout.decode().strip()

    def activated(self, body, *words):
        """A script that is enabled: it listens nowhere by itself."""
        self.bed.write("app.py", harness.dedent(f"""
            import os, sys, time
            sys.path.insert(0, {served.HERE!r})
            import serve_stand_in
            server = serve_stand_in.Server(1)
            """) + harness.dedent(body) + "\nserver.serve()\nsys.exit(server.status)\n")
        self.bed.write("port", str(PORT))
        return self.enable("--port", str(PORT), *words)

    def test_first_request(self):
        """Nothing runs until somebody asks; then the script, in its directory and with its arguments."""
        self.activated("server.answer = lambda path: repr([os.getcwd(), sys.argv])", "--", "a", "b c%d $x")
        self.assertEqual(("active", "inactive"), (self.active("socket"), self.active("service")))
        self.assertEqual([{"script": self.bed.path("app.py"), "state": "waiting", "addresses": [f"127.0.0.1:{PORT}"]}],
                         json.loads(self.serve_ctl("list", "--json").stdout))
        self.assertEqual(repr([self.bed.work, [self.bed.path("app.py"), "a", "b c%d $x"]]), self.get())
        self.assertEqual("active", self.active("service"))
        status = json.loads(self.serve_ctl("status", "--json", "app").stdout)
        self.assertEqual(("serving", True), (status["state"], status["activated"]))
        self.assertEqual(0, self.serve_ctl("disable", "app").status)
        self.assertFalse(self.listens())

    def test_idle(self):
        """It ends when nobody asks, and the next request starts it; under many of them none fails."""
        self.activated("server.answer = lambda path: str(os.getpid())", "--idle", "0.2")
        seen = set()
        for number in range(40):
            seen.add(self.get())
            # Some come just when it is about to end.
            time.sleep(0.15 + number % 10 * 0.02)
        self.assertGreater(len(seen), 2)
        self.assertTrue(harness.wait_until(lambda: self.active("service") == "inactive", 10))
        self.assertEqual("active", self.active("socket"))

    def test_reload_and_stop(self):
        self.activated("server.answer = lambda path: str(os.getpid())")
        before = self.get()
        self.assertEqual((0, b"", b""), self.serve_ctl("reload", "app"))
        after = self.get()
        self.assertNotEqual(before, after)
        self.bed.systemctl("reload", "quicken-serve@app.service")
        self.assertTrue(harness.wait_until(lambda: self.get() != after, 10))
        busctl = self.bed.run(["busctl", "--user", "list", "--no-pager"])
        self.assertIn(b"org.quicken.Serve1.i", busctl.stdout)
        self.assertEqual(0, self.serve_ctl("stop", "app").status)
        self.assertEqual(("inactive", "inactive"), (self.active("socket"), self.active("service")))
        self.assertFalse(self.listens())

    def test_status_of_what_does_not_run(self):
        """It waits for a request, or is stopped."""
        self.activated("server.answer = lambda path: 'x'")
        for state in ("waiting", "stopped"):
            known = {"script": self.bed.path("app.py"), "state": state, "addresses": [f"127.0.0.1:{PORT}"]}
            for name in ("app", self.bed.path("app.py")):
                self.assertEqual(known, json.loads(self.serve_ctl("status", "--json", name).stdout))
            self.assertEqual([known], json.loads(self.serve_ctl("list", "--json").stdout))
            shown = self.serve_ctl("status", "app")
            self.assertEqual(0, shown.status)
            self.assertRegex(shown.stdout.decode(), rf"^script +{self.bed.path('app.py')}\nstate +{state}\n"
                                                    rf"addresses +127.0.0.1:{PORT}\n$")
            self.assertIn(b"app is not served", self.serve_ctl("reload", "app").stderr)
            self.assertEqual(0, self.serve_ctl("stop", "app").status)

    def test_two_names_of_one_script(self):
        """Its path means neither of them."""
        self.activated("server.answer = lambda path: 'x'")
        self.enable("--port", str(PORT + 1), "--name", "other")
        for command in ("disable", "stop", "status"):
            result = self.serve_ctl(command, self.bed.path("app.py"))
            self.assertEqual((1, b""), (result.status, result.stdout))
            self.assertRegex(result.stderr.decode(), "is enabled more than once; name one of (app, other|other, app)\n$")
        self.assertEqual(0, self.serve_ctl("disable", "other").status)
        self.assertEqual("x", self.get())
        self.assertEqual(0, self.serve_ctl("disable", self.bed.path("app.py")).status)

    def test_many_at_once(self):
        """Who enables and disables at the same time is in nobody's way: each name is what was said of it."""
        self.activated("server.answer = lambda path: sys.argv[1]", "--", "app")
        names = [f"name{number}" for number in range(4)]

        def enable(name, port):
            return self.serve_ctl("enable", self.bed.path("app.py"), "--name", name, "--port", str(port), "--", name)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for round in range(4):
                done = [pool.submit(enable, name, PORT + 1 + number) for number, name in enumerate(names)
                        if number % 2 == round % 2]
                done += [pool.submit(self.serve_ctl, "disable", name) for number, name in enumerate(names)
                         if number % 2 != round % 2 and round > 0]
                # Of several that are of one name the last one counts, and no half of another.
                done += [pool.submit(enable, "app", port) for port in (PORT, PORT + 9)]
                for result in [one.result() for one in done]:
                    self.assertEqual((0, b""), (result.status, result.stderr))
                listed = {entry["addresses"][0].rpartition(":")[2]: entry["state"]
                          for entry in json.loads(self.serve_ctl("list", "--json").stdout)}
                own = {str(port) for port in (PORT, PORT + 9)} & set(listed)
                self.assertEqual(1, len(own), listed)
                expected = {str(PORT + 1 + number) for number in range(4) if number % 2 == round % 2}
                self.assertEqual(expected | own, set(listed))
                self.assertEqual({"waiting"}, set(listed.values()), listed)
        for number, name in enumerate(names):
            if number % 2:
                self.bed.write("port", str(PORT + 1 + number))
                self.assertEqual(name, self.get())

    def test_failing_script(self):
        """A first start that fails is the service's failure, which systemd knows."""
        self.activated("sys.exit(3)")
        try:
            self.get()
        except OSError:
            pass
        self.assertTrue(harness.wait_until(lambda: self.active("service") in ("failed", "activating"), 10))

    def test_unix_socket(self):
        self.answering("unix")
        path = self.bed.path("sock")
        self.bed.write("app.py", served.text_of(self.bed.path("app.py")).replace("Server(0)", "Server(1)"))
        self.assertEqual(f"web {path}\n", self.enable("--unix", "sock", "--name", "web"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertIn(b"unix", client.recv(1000))
        self.assertEqual(0, self.serve_ctl("disable", "web").status)
        self.assertFalse(os.path.exists(path))

    def test_refused(self):
        """What cannot be enabled leaves nothing."""
        self.answering("x")
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            for words, text in ((["app.py"], b"say where it listens"), (["none.py", "--port", "1"], b"none.py"),
                                (["app.py", "--address", "nonsense"], b"is not HOST:PORT"),
                                (["app.py", "--port", "80", "--name", "a/b"], b"a name has"),
                                (["app.py", "--port", str(other.getsockname()[1])], b"is it used already")):
                result = self.serve_ctl("enable", *words)
                self.assertEqual(1, result.status)
                self.assertIn(text, result.stderr)
                self.assertEqual([], self.files())
        self.assertEqual(1, self.serve_ctl("disable", "app").status)

    def test_refused_settings(self):
        """What would fail at the first request, or in the manager, is said when it is enabled."""
        self.answering("x")
        self.bed.write("text.txt", "")
        os.mkdir(self.bed.path("directory"))
        for words, text in ((["app.py", "--port", "80", "--set", "nope=1"], b"there is no setting nope"),
                            (["app.py", "--port", "80", "--set", "max_body=x"], b"has to be a number"),
                            (["app.py", "--port", "80", "--python", "/nonexistent"], b"interpreter /nonexistent"),
                            (["app.py", "--address", "localhost:80"], b"is not HOST:PORT"),
                            (["app.py", "--address", "127.0.0.1:65536"], b"is not HOST:PORT"),
                            (["app.py", "--unix", "x" * 108], b"at most 107 bytes"),
                            (["app.py", "--unix", "a\nExecStartPre=b"], b"cannot have the path"),
                            (["app.py", "--unix", "a\\"], b"cannot have the path"),
                            (["app.py", "--unix", ""], b"needs a path"),
                            (["app.py", "--port", "80", "--", "\1" * 60000], b"File too large"),
                            (["directory", "--port", "80"], b"__main__.py")):
            result = self.serve_ctl("enable", *words)
            self.assertEqual((1, b""), (result.status, result.stdout), words)
            self.assertIn(text, result.stderr)
            self.assertNotIn(b"; then", result.stderr)
            self.assertEqual([], self.files(), words)

    def test_what_the_manager_cannot_read(self):
        """Drop-ins that somebody has spoilt are in nobody's way."""
        self.activated("server.answer = lambda path: 'x'")
        drop_in = [path for path in self.files() if path.endswith("app.socket.d")][0] + "/10-quicken.conf"
        with open(drop_in, "a") as file:
            file.write("ListenStream=nonsense\n[Socket]\nListenStream=\n")
        self.assertEqual(0, self.serve_ctl("stop", "app").status)
        self.bed.systemctl("daemon-reload")
        self.assertEqual((0, b"", b""), self.serve_ctl("disable", "app"))
        self.assertEqual([], self.files())

    def test_paths(self):
        """Directories, scripts and sockets may have almost any name."""
        for name in ("a b%h$x ", "back\\", "q\"uo'te", "line\nfeed.py"):
            with self.subTest(name):
                directory = self.bed.path("d" + name.replace("\n", "") + "/")
                os.mkdir(directory)
                script = directory + name
                self.activated("server.answer = lambda path: repr([os.getcwd(), sys.argv])")
                self.assertEqual(0, self.serve_ctl("disable", "app").status)
                os.rename(self.bed.path("app.py"), script)
                result = self.bed.ctl("serve", "enable", script, "--unix", "a b%h", "--name", "app", cwd=directory)
                self.assertEqual((0, b""), (result.status, result.stderr))
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(20)
                    client.connect(directory + "a b%h")
                    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    self.assertIn(repr([directory[:-1], [script]]).encode(), client.recv(5000))
                self.assertEqual(0, self.serve_ctl("disable", script).status)
                self.assertEqual([], self.files())

    def test_directory_removed(self):
        """From there, what is enabled by its name can be stopped and disabled."""
        self.activated("server.answer = lambda path: 'x'")
        os.mkdir(self.bed.path("gone"))
        gone = harness.dedent("""
            cd gone && rmdir ../gone && shift || exit 9
            "$0" serve status app | grep ^state
            "$0" serve enable "$1" --port 80; echo $?
            "$0" serve disable app; echo $?
            """)
        result = self.bed.run(["sh", "-c", gone, harness.QUICKENCTL, "", self.bed.path("app.py")])
        self.assertEqual((0, b"state         waiting\n1\n0\n"), (result.status, result.stdout))
        self.assertIn(b"find the working directory", result.stderr)
        self.assertEqual([], self.files())

    def test_disk_full(self):
        """No half of a unit is left; what was enabled before is so again."""
        self.answering("x")
        for enabled in (False, True):
            if enabled:
                self.activated("server.answer = lambda path: 'x'")
            before = self.contents()
            # The second file has no room: a limit of a file's size stands for the disk's.
            limited = "ulimit -f 4; trap '' XFSZ; exec \"$@\""
            words = [harness.QUICKENCTL, "serve", "enable", self.bed.path("app.py"), "--port", str(PORT)]
            result = self.bed.run(["sh", "-c", limited, "sh", *words, "--", *["x" * 100] * 100])
            self.assertEqual((1, b""), (result.status, result.stdout))
            self.assertIn(b"No space left on device", result.stderr)
            self.assertEqual(enabled, b"; app is enabled as it was before" in result.stderr, result.stderr)
            self.assertEqual(before, self.contents())
        self.assertEqual("x", self.get())

    def contents(self):
        """Of all that is enabled."""
        found = {}
        for path in self.files():
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isdir(path):
                found.update({name: served.text_of(os.path.join(path, name)) for name in os.listdir(path)})
        return found

    def test_enabled_again_in_vain(self):
        """What cannot be started leaves what was enabled before, listening if it did."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            used = str(other.getsockname()[1])
            self.activated("server.answer = lambda path: 'x'", "--", "former")
            before = self.contents()
            for listens in (True, False):
                result = self.serve_ctl("enable", self.bed.path("app.py"), "--port", used)
                self.assertEqual((1, b""), (result.status, result.stdout))
                self.assertIn(b"is it used already", result.stderr)
                self.assertTrue(result.stderr.endswith(b"; app is enabled as it was before\n"), result.stderr)
                self.assertEqual(before, self.contents())
                self.assertEqual("active" if listens else "inactive", self.active("socket"))
                self.assertEqual(listens, self.listens())
                if listens:
                    self.assertEqual("x", self.get())
                    self.assertEqual(0, self.serve_ctl("stop", "app").status)

    def test_enabled_again(self):
        """The same script takes its own place, also while it runs; another one does not get its name."""
        self.activated("server.answer = lambda path: str(os.getpid()) if path == '/pid' else 'x'")
        first = self.serving_pid()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.enable("--port", str(port))
        self.assertFalse(self.listens())
        self.assertEqual("", harness.process_state(first))
        self.bed.write("port", str(port))
        second = self.serving_pid()
        result = self.serve_ctl("enable", self.bed.write("other.py", ""), "--port", str(PORT), "--name", "app")
        self.assertEqual((1, b""), (result.status, result.stdout))
        self.assertIn(b"choose another --name", result.stderr)
        self.assertEqual(second, self.serving_pid())
        self.assertEqual(0, self.serve_ctl("disable", "app").status)
        self.assertFalse(self.listens())
        self.assertEqual("", harness.process_state(second))

    def test_stopped_while_answering(self):
        """What has begun is answered, whoever ends it."""
        self.bed.write("port", str(PORT))
        self.bed.write("app.py", """
            import os
            import time
            from quick_server import create_server
            server = create_server(('', 0))
            @server.text_get('/slow')
            def slow(req, args):
                open('begun', 'w').close()
                time.sleep(2)
                return 'answered'
            server.serve_forever()
            """)
        for end in (lambda: self.serve_ctl("disable", "app"), lambda: self.serve_ctl("stop", "app"),
                    lambda: self.bed.systemctl("stop", "quicken-serve@app.socket", "quicken-serve@app.service")):
            self.enable("--port", str(PORT))
            with concurrent.futures.ThreadPoolExecutor(1) as other:
                answer = other.submit(self.get, "/slow")
                self.assertTrue(harness.wait_until(lambda: os.path.exists(self.bed.path("begun")), 20))
                os.unlink(self.bed.path("begun"))
                self.assertEqual(0, end().status)
                self.assertEqual("answered", answer.result())

    def test_manager_s_stop(self):
        """`systemctl stop` lets the script end by itself."""
        self.activated("server.answer = lambda path: 'x'\nold = server.do_stop\n"
                       "def stop(*rest):\n    open('stopped', 'w').close()\n    old(*rest)\nserver.do_stop = stop")
        self.assertEqual("x", self.get())
        self.bed.systemctl("stop", "quicken-serve@app.socket", "quicken-serve@app.service")
        self.assertTrue(os.path.exists(self.bed.path("stopped")))
        shown = self.bed.systemctl("show", "-p", "Result", "quicken-serve@app.service").stdout
        self.assertEqual(b"Result=success\n", shown)


if __name__ == "__main__":
    harness.main()
