"""A quick_server script that serves while a test asks it: with `quicken serve`, and in its own process.

The script says where it listens by a line "port N" on standard output (port 0 is any free one, so that tests run side
by side), which the `HEAD` that begins most scripts does in serve().
"""

import http.client
import os
import queue
import signal
import socket
import subprocess
import threading

import harness

PACKAGE = os.path.join(harness.PREFIX, "libexec", "quicken", "python")
SUPERVISOR = os.path.join(harness.PREFIX, "libexec", "quicken", "quicken-serve")

HEAD = """
import sys
from quick_server import *
import quick_server
server = create_server(('localhost', 0))
def serve():
    print('port', server.server_port, flush=True)
    server.serve_forever()
    server.server_close()
"""


def pauses(first, least, most, count):
    """Between a worker's client's questions: each is 1 % longer than the one before, by `least` at least."""
    found = [first]
    while len(found) < count:
        found.append(min(max(found[-1] * 1.01, found[-1] + least), most))
    return found


class Answer:
    def __init__(self, answer):
        self.status = answer.status
        self.reason = answer.reason
        self.headers = answer.headers
        self.body = answer.read()

    def __repr__(self):
        return f"{self.status} {self.reason} {self.headers.items()} {self.body[:300]!r}"

    @property
    def text(self):
        return self.body.decode()


class Script:
    """A running script. `lines` of standard output and `log` of standard error grow as they come. `settings` are
    those of --set."""

    def __init__(self, bed, path, arguments=(), python=harness.PYTHON, served=False, env=None, settings=None,
                 **options):
        if served:
            words = [word for name, value in (settings or {}).items() for word in ("--set", f"{name}={value}")]
            argv, defaults = [harness.QUICKEN, "serve", "--python", python, *words, path, *arguments], {}
        else:
            argv, defaults = [python, path, *arguments], {"QUICKEN_DISABLE": "1", "PYTHONPATH": PACKAGE}
        variables = bed.env(dict({"PYTHONDONTWRITEBYTECODE": "1", **defaults}, **(env or {})))
        self.process = subprocess.Popen(argv, env=variables, cwd=bed.work, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.lines, self.log = [], []
        self._told = queue.Queue()
        self._threads = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines, True)),
                         threading.Thread(target=self._read, args=(self.process.stderr, self.log, False))]
        for thread in self._threads:
            thread.start()
        self.port = 0

    def _read(self, stream, lines, tells):
        for line in stream:
            text = line.decode(errors="replace").rstrip("\n")
            lines.append(text)
            if tells and text.startswith("port "):
                self._told.put(int(text.split()[1]))
        stream.close()
        if tells:
            self._told.put(0)

    def wait_for_port(self, seconds=20):
        """Of the script's first start, and later of its next one."""
        try:
            self.port = self._told.get(timeout=seconds)
        except queue.Empty:
            self.port = 0
        if not self.port:
            raise AssertionError(f"the script does not serve: {self.lines} {self.log}")
        return self

    def ask(self, path, method="GET", body=None, headers=None):
        """A request on a connection of its own."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=15)
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def exchange(self, data):
        """What comes for these bytes, until the server closes."""
        with socket.create_connection(("localhost", self.port), 15) as client:
            client.sendall(data)
            got = b""
            while part := client.recv(65536):
                got += part
        return got

    def type(self, *lines):
        """At the prompt."""
        self.process.stdin.write("".join(line + "\n" for line in lines).encode())
        self.process.stdin.flush()

    def has_logged(self, text, seconds=5):
        """The first line of the log with that, or None."""
        return harness.wait_until(lambda: next((line for line in self.log if text in line), None), seconds)

    def end(self, seconds=20):
        """Its exit status, once it has ended by itself."""
        status = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(seconds)
        return status

    def close(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.end()


class Site(Script):
    """A script by `quicken serve` in a bed of its own, for a whole class of tests: it prints "pid N" before it serves.
    `files` are others beside it."""

    def __init__(self, text, files=(), **settings):
        self.bed = harness.Bed("self")
        for name, content in dict(files).items():
            os.makedirs(os.path.dirname(self.bed.path(name)), exist_ok=True)
            self.bed.write(name, content)
        path = self.bed.write("site.py", harness.dedent(HEAD) + "import os\nprint('pid', os.getpid())\n"
                              + harness.dedent(text))
        super().__init__(self.bed, path, served=True, settings=settings)
        try:
            self.wait_for_port()
        except AssertionError:
            self.close()
            raise

    @property
    def pid(self):
        """Of the script's process that serves now."""
        return int([line for line in self.lines if line.startswith("pid ")][-1].split()[1])

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def connect(self, seconds=20):
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def close(self):
        super().close()
        self.bed.close()


class Case(harness.Case):
    """`served`: by `quicken serve`, otherwise in the process of python3."""

    served = False

    def script(self, text, head=HEAD, name="site.py", wait=True, **options):
        path = self.bed.write(name, harness.dedent(head) + harness.dedent(text))
        script = Script(self.bed, path, served=options.pop("served", self.served), **options)
        self.addCleanup(script.close)
        return script.wait_for_port() if wait else script

    def certify(self):
        """A key and a certificate of localhost's, in the files `key` and `cert`; the path of the latter."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", self.bed.path("key"), "-out", self.bed.path("cert")],
                       check=True, capture_output=True)
        return self.bed.path("cert")

    def assert_answer(self, expected, answer):
        """expected: (status, body) or (status, type, body)"""
        found = (answer.status, *([answer.headers.get("Content-Type")] if len(expected) == 3 else []), answer.body)
        self.assertEqual(expected, found, answer)


def both_ways(case):
    """Class decorator: the tests with the script in its own process, and with `quicken serve`."""
    import sys
    module = sys.modules[case.__module__]
    for name, served in (("InProcess", False), ("Served", True)):
        made = type(f"{case.__name__}_{name}", (case, Case), {"served": served, "__module__": case.__module__})
        setattr(module, made.__name__, made)
    return case
