"""A script's side of what is said with the supervisor of `quicken serve` (src/serve/protocol.hpp).

The supervisor here is the test: it is asked for sockets, told what is served, and says what the real one says.
"""

import contextlib
import json
import os
import select
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import serving


class Supervisor:
    """The other end of the control socket. `listeners`: what it has given."""

    def __init__(self, test):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs = theirs
        self.received = []
        self.listeners = []
        test.addCleanup(self.close)

    def close(self):
        self.ours.close()
        for listener in self.listeners:
            listener.close()

    def environment(self):
        return {"QUICKEN_SERVE_FD": str(self.theirs.fileno()), "QUICK_SERVER_RESTART": "42", "QUICKEN_DISABLE": None}

    def say(self, passed=-1, **message):
        socket.send_fds(self.ours, [json.dumps(message).encode()], [passed] if passed >= 0 else [])

    def next(self, what, seconds=10):
        """The next message of that kind; others are kept in `received`. None at the script's end."""
        deadline = time.monotonic() + seconds
        while select.select([self.ours], [], [], max(0, deadline - time.monotonic()))[0]:
            data = self.ours.recv(64 << 10)
            if not data:
                return None
            message = json.loads(data)
            self.received.append(message)
            if message["do"] == what:
                return message
        raise AssertionError(f"no {what!r} has come but {self.received}")

    def give_socket(self):
        """Answers the next `listen`."""
        asked = self.next("listen")
        listener = socket.create_server((asked["address"] or "0.0.0.0", asked["port"]))
        self.listeners.append(listener)
        self.say(listener.fileno(), do="listening", port=listener.getsockname()[1], fd=True)
        return asked


class Controlled(serving.Case):
    def start(self, text="serve()\n", head=serving.HEAD, give=1, env=None, **options):
        self.control = Supervisor(self)
        variables = dict(self.control.environment(), **(env or {}))
        script = self.script(text, head=head, wait=False, env=variables,
                             pass_fds=[self.control.theirs.fileno()], **options)
        self.control.theirs.close()
        self.asked = [self.control.give_socket() for _ in range(give)]
        return script.wait_for_port() if give else script

    def assert_ended(self, script, leaving=None):
        self.assertEqual(0, script.end(), script.log)
        self.assertIsNone(self.control.next("nothing"))
        said = [message for message in self.control.received if message["do"] == "leaving"]
        self.assertEqual([] if leaving is None else [{"do": "leaving", "restart": leaving}], said)


class Listening(Controlled):
    def test_given_socket(self):
        script = self.start("server.add_text_get_mask('/', lambda req, args: 'x')\nserve()")
        self.assertEqual([{"do": "listen", "address": "localhost", "port": 0}], self.asked)
        self.assertEqual(self.control.listeners[0].getsockname()[1], script.port)
        self.control.next("serving")
        self.assertEqual(b"x", script.ask("/").body)

    def test_refused(self):
        """Is the script's OSError."""
        script = self.start(give=0)
        self.control.next("listen")
        self.control.say(do="listening", errno=98, error="Address already in use")
        self.assertEqual(1, script.end())
        self.assertEqual("OSError: [Errno 98] Address already in use: cannot listen at localhost:0", script.log[-1])

    def test_supervisor_gone_before(self):
        script = self.start(give=0)
        self.control.next("listen")
        self.control.ours.close()
        self.assertEqual(1, script.end())
        self.assertIn("the supervisor of quicken serve has gone", script.log[-1])

    def test_two_servers(self):
        self.start("second = create_server(('', 0))\nprint(len({server.server_port, second.server_port}), flush=True)\n"
                   "serve()", give=2)
        self.assertEqual(["localhost", ""], [asked["address"] for asked in self.asked])


class Environment(Controlled):
    SHOW = """
        import os, subprocess
        print({name: value for name, value in os.environ.items()
               if name.startswith(('QUICKEN_SERVE', 'PYTHONPATH'))}, flush=True)
        print(subprocess.check_output(['env']).decode().count('QUICKEN_SERVE'), flush=True)
        print(subprocess.check_output(['ls', '-l', '/proc/self/fd'], close_fds=False).decode().count('socket:'),
              flush=True)
        serve()
        """

    def test_put_back(self):
        """Nothing of the supervisor's is left to what the script starts: variables, descriptors, PYTHONPATH."""
        for before in (None, "/own/path"):
            env = {"QUICKEN_SERVE_SETTINGS": "{}", **({"QUICKEN_SERVE_PYTHONPATH": before} if before else {})}
            script = self.start(self.SHOW, env=env)
            self.assertEqual([str({"PYTHONPATH": before} if before else {}), "0", "0"], script.lines[:3])

    def test_settings(self):
        """Those of the command line overrule the script's."""
        script = self.start("""
            server.max_file_size = 5
            server.add_json_post_mask('/', lambda req, args: [server.max_file_size, server.idle_timeout])
            serve()
            """, env={"QUICKEN_SERVE_SETTINGS": '{"max_body": 10, "idle_timeout": 2.5}'})
        self.assertEqual([10, 2.5], json.loads(script.ask("/", "POST", b"12345678").body))
        self.assertEqual(413, script.ask("/", "POST", b"12345678901").status)


class Serving(Controlled):
    def test_serving(self):
        """All that the supervisor has to know."""
        self.start("""
            server.prompt = '$ '
            server.shutdown_latency = 0.5
            server.history_file = 'h'
            server.drain_timeout = 3
            @server.cmd()
            def add_user(args):
                pass
            serve()
            """)
        self.assertEqual({"do": "serving", "prompt": "$ ", "history": self.bed.path("h"), "prompts": True,
                          "commands": ["add user", "help", "quit", "restart"], "script": self.bed.path("site.py"),
                          "shutdown_latency": 0.5, "drain_timeout": 3}, self.control.next("serving"))

    def test_no_prompt(self):
        self.start("server.no_command_loop = True\nserve()")
        self.assertIs(False, self.control.next("serving")["prompts"])

    def test_watch(self):
        """The script and its modules, those that come later as well; nothing of Python's or ours."""
        self.bed.write("early.py", "")
        self.bed.write("late.py", "")
        os.mkdir(self.bed.path("package"))
        self.bed.write("package/__init__.py", "")
        script = self.start("import early\n@server.text_get('/')\ndef later(req, args):\n"
                            "    import late, package, wave\n    return 'x'\nserve()")
        self.assertEqual([self.bed.path(name) for name in ("early.py", "site.py")], self.control.next("watch")["files"])
        script.ask("/")
        self.assertEqual([self.bed.path(name) for name in ("late.py", "package/__init__.py")],
                         self.control.next("watch")["files"])

    def test_watch_is_split(self):
        """A packet has an end, which a thousand modules do not fit before."""
        os.mkdir(self.bed.path("many"))
        names = [f"module_with_a_long_name_{'x' * 40}_{i}" for i in range(1000)]
        for name in names:
            self.bed.write(f"many/{name}.py", "")
        self.start("import importlib\nsys.path.insert(0, 'many')\n"
                   f"for name in {names}:\n    importlib.import_module(name)\nserve()")
        self.control.next("serving")
        found = set()
        while len(found) < 1001:
            found.update(self.control.next("watch")["files"])
        self.assertEqual({self.bed.path(f"many/{name}.py") for name in names} | {self.bed.path("site.py")}, found)

    def test_activity(self):
        script = self.start("server.add_text_get_mask('/', lambda req, args: 'x')\nserve()")
        for _ in range(3):
            script.ask("/")
        harness.wait_until(lambda: self.activity()["connections"] == 0)
        found = self.activity()
        self.assertLess(found.pop("seconds_idle"), 10)
        self.assertEqual({"do": "activity", "answering": 0, "connections": 0, "requests": 3, "workers": 0}, found)

    def activity(self):
        self.control.say(do="activity?")
        return self.control.next("activity")

    def test_unknown_messages(self):
        """Are ignored, members too."""
        script = self.start("server.add_text_get_mask('/', lambda req, args: 'x')\nserve()")
        self.control.say(do="dance", with_whom=5)
        self.control.say(do="activity?", more=[])
        self.control.next("activity")
        self.assertEqual(b"x", script.ask("/").body)


class Prompt(Controlled):
    TEXT = """
        import threading
        asked = threading.Event()
        @server.text_get('/ask')
        def ask(req, args):
            asked.set()
            return 'asked'
        @server.cmd(argc=1, complete=lambda args, text: ['user-%d' % len(args), 'other'])
        def add_user(args):
            print('added', args[0], flush=True)
        @server.cmd(no_replace=True)
        def under_score(args):
            raise ValueError('in a command')
        @server.cmd()
        def wait(args):
            '''Waits.'''
            print('asked:', asked.wait(10), flush=True)
        serve()
        """

    def start(self, *arguments, **options):
        script = super().start(*arguments, **options)
        self.control.next("serving")
        return script

    def run_line(self, line):
        self.control.say(do="run", id=len(line), line=line)
        self.assertEqual({"do": "ran", "id": len(line)}, self.control.next("ran"))

    def test_run(self):
        """Lines, blanks, comments, wrong ones; each is answered when it is done."""
        script = self.start(self.TEXT)
        for line in ("add user joe", "", "# add user x", "add user", "nothing", "under_score x", "help", "help wait"):
            self.run_line(line)
        self.assertTrue(harness.wait_until(lambda: "added joe" in script.lines), script.lines)
        for text in ("'add user' expects 1 argument, not 0", "unknown command: 'nothing'", "ValueError: in a command",
                     "  under_score", "wait: Waits."):
            self.assertTrue(script.has_logged(text), (text, script.log))
        self.assertEqual(1, script.lines.count("added joe"))

    def test_serves_meanwhile(self):
        script = self.start(self.TEXT)
        self.control.say(do="run", id=1, line="wait")
        self.assertEqual("asked", script.ask("/ask").text)
        self.control.next("ran")
        self.assertTrue(harness.wait_until(lambda: "asked: True" in script.lines), script.lines)

    def test_complete(self):
        self.start(self.TEXT)
        for line, begin, words in (("", 0, ["add", "help", "quit", "restart", "under_score", "wait"]),
                                   ("re", 0, ["restart"]), ("add ", 4, ["user"]), ("add us", 4, ["user"]),
                                   ("add user u", 9, ["user-0"]), ("add user x ", 11, ["other", "user-1"]),
                                   ("help w", 5, ["wait"]), ("nothing x", 8, [])):
            self.control.say(do="complete", id=9, line=line, begin=begin, end=len(line))
            self.assertEqual({"do": "words", "id": 9, "words": words}, self.control.next("words"), line)

    def test_restart(self):
        """Is the supervisor's to do; this process goes on."""
        script = self.start(self.TEXT)
        self.control.say(do="run", id=1, line="restart")
        self.control.next("restart")
        self.assertEqual(404, script.ask("/").status)

    def test_quit(self):
        script = self.start(self.TEXT)
        self.control.say(do="run", id=1, line="quit")
        self.assert_ended(script, leaving=False)


class Ending(Controlled):
    TEXT = """
        import time
        @server.text_get('/slow')
        def slow(req, args):
            print('begun', flush=True)
            time.sleep(1)
            return 'done'
        server.shutdown_latency = 5
        serve()
        print('after', flush=True)
        """

    def test_stop(self):
        script = self.start(self.TEXT)
        self.control.next("serving")
        self.control.say(do="stop")
        self.assert_ended(script, leaving=False)
        self.assertEqual("after", script.lines[-1])

    def test_stop_before_serving(self):
        """Is kept until serve_forever() is reached."""
        script = self.start("print('port 1', flush=True)\nsys.stdin.readline()\nserve()")
        self.control.say(do="stop")
        script.type("go on")
        self.assertEqual(0, script.end())

    def ask_slowly(self, script):
        """A connection with a request that is being answered."""
        client = socket.create_connection(("localhost", script.port), 15)
        self.addCleanup(client.close)
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(harness.wait_until(lambda: "begun" in script.lines), script.log)
        return client

    def read_all(self, client):
        data = b""
        while part := client.recv(65536):
            data += part
        return data

    def test_drain(self):
        """What is being answered is answered; nothing is accepted any more; it leaves because it was told to."""
        script = self.start(self.TEXT)
        self.control.next("serving")
        client = self.ask_slowly(script)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.say(theirs.fileno(), do="drain")
        theirs.close()
        self.addCleanup(ours.close)
        ours.settimeout(10)
        data, fds, _, _ = socket.recv_fds(ours, 65536, 1)
        for fd in fds:
            os.close(fd)
        self.assertEqual(1, len(fds))
        client.settimeout(5)
        self.assertTrue(client.recv(65536).endswith(b"\r\n\r\ndone"))
        self.assert_ended(script)

    def test_drain_without_a_socket(self):
        """As where it has no descriptor left for it: its connections are closed."""
        script = self.start(self.TEXT)
        self.control.next("serving")
        with socket.create_connection(("localhost", script.port), 15) as idle:
            client = self.ask_slowly(script)
            self.control.say(do="drain")
            self.assertEqual(b"", idle.recv(1))
            self.assertTrue(self.read_all(client).endswith(b"\r\n\r\ndone"))
        self.assert_ended(script)

    def test_drain_before_it_serves(self):
        """It had no server that served; the one that begins to leaves again."""
        script = self.start("print('port 1', flush=True)\nsys.stdin.readline()\nserve()")
        self.control.say(do="drain")
        self.control.say(do="activity?")
        self.control.next("activity")
        script.type("go on")
        self.assert_ended(script)

    def test_adopt(self):
        """Connections of a predecessor, with what was read of them (src/http/handover.hpp)."""
        script = self.start("server.add_text_get_mask('/x', lambda req, args: 'adopted')\nserve()")
        self.control.next("serving")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(ours.close)
        self.control.say(theirs.fileno(), do="adopt")
        theirs.close()
        with socket.create_server(("localhost", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            connection = listener.accept()[0]
        with client, connection:
            socket.send_fds(ours, [b"\0GET /x HTTP/1.1\r\nConnection: close\r\n"], [connection.fileno()])
            connection.close()
            client.sendall(b"Host: x\r\n\r\n")
            client.settimeout(10)
            answer = self.read_all(client)
            self.assertTrue(answer.endswith(b"adopted"), answer)
        self.assertEqual(404, script.ask("/").status)

    def test_supervisor_gone(self):
        """What is being answered is answered, and the process ends."""
        script = self.start(self.TEXT)
        client = self.ask_slowly(script)
        self.control.ours.close()
        client.settimeout(10)
        self.assertTrue(self.read_all(client).endswith(b"done"))
        self.assertEqual(0, script.end())

    def test_idle(self):
        """It stays while a connection is open, else it leaves."""
        script = self.start(self.TEXT)
        self.control.next("serving")
        with socket.create_connection(("localhost", script.port)):
            self.assertTrue(harness.wait_until(lambda: self.connections() == 1))
            self.control.say(do="idle")
            self.control.next("busy")
        self.assertTrue(harness.wait_until(lambda: self.connections() == 0))
        self.control.say(do="idle")
        self.assertEqual(0, script.end())

    def test_idle_at_the_last_moment(self):
        """A connection that comes between the look and the leave is answered, and the port is open again."""
        script = self.start("""
            import threading
            server.add_text_get_mask('/x', lambda req, args: 'x')
            @server.cmd()
            def leave(args):
                server.leave_if_idle()
            serve()
            """)
        self.control.next("serving")
        with socket.create_connection(("localhost", script.port), 10) as client:
            self.assertTrue(harness.wait_until(lambda: self.connections() == 1))
            self.control.say(do="run", id=1, line="leave")
            self.control.next("busy")
            client.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(self.read_all(client).endswith(b"x"))
        self.assertEqual(b"x", script.ask("/x").body)
        self.assertTrue(harness.wait_until(lambda: self.connections() == 0))
        self.control.say(do="idle")
        self.assert_ended(script, leaving=False)

    def test_idle_between_two_requests(self):
        """A script with a loop of its own leaves where it waits for a request, not while it does something else."""
        script = self.start("""
            server.add_text_get_mask('/x', lambda req, args: 'x')
            print('port', server.server_port, flush=True)
            while not server.done:
                server.handle_request()
                if not server.done:
                    print('away', flush=True)
                    sys.stdin.readline()
            server.server_close()
            """)
        self.control.next("serving")
        self.assertEqual(b"x", script.ask("/x").body)
        self.assertTrue(harness.wait_until(lambda: "away" in script.lines))
        self.assertTrue(harness.wait_until(lambda: self.connections() == 0))
        self.control.say(do="idle")
        self.control.next("busy")
        self.assertIsNone(script.process.poll())
        script.type("go on")
        self.assertTrue(harness.wait_until(lambda: self.is_left(script), 20), script.log)
        self.assertEqual(0, script.end(), script.log)

    def is_left(self, script):
        if script.process.poll() is None:
            with contextlib.suppress(OSError):
                self.control.say(do="idle")
        return script.process.poll() is not None

    def connections(self):
        self.control.say(do="activity?")
        return self.control.next("activity")["connections"]

    def test_child_of_the_script(self):
        """Does not keep the control connection or the listening socket."""
        script = self.start("""
            import os, signal
            child = os.fork()
            if child == 0:
                os.close(0), os.close(1), os.close(2)
                signal.pause()
            print(child, flush=True)
            serve()
            """)
        child = int(script.lines[0])
        self.addCleanup(os.kill, child, 9)
        self.control.say(do="stop")
        self.assert_ended(script, leaving=False)
        self.assertTrue(harness.process_state(child))


if __name__ == "__main__":
    harness.main()
