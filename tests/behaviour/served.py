"""A place where `quicken serve` runs scripts that speak its protocol, and requests for them."""

import http.client
import os
import socket
import subprocess

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
SERVE = os.path.join(harness.PREFIX, "libexec", "quicken", "quicken-serve")

# What a script begins with: `server` listens on a port of its own choice, which the file `port` has.
HEAD = f"""
import os, sys, time
sys.path.insert(0, {HERE!r})
import serve_stand_in
server = serve_stand_in.Server(0)
with open("port.new", "w") as file:
    file.write(str(server.port))
os.rename("port.new", "port")
"""


def marked(runtime):
    """Pids of all processes that have `runtime` as their runtime directory, whatever they are."""
    mark = b"XDG_RUNTIME_DIR=" + os.fsencode(runtime)
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if mark in environ.read().split(b"\0") and harness.process_state(pid):
                    found[int(pid)] = harness.command_line(pid)
        except OSError:
            continue
    return found


def text_of(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.before = set(marked(self.bed.runtime))  # of a manager that is not only ours
        self.addCleanup(self.assert_nothing_left)

    def assert_nothing_left(self):
        """No process but quicken's own servers, which stay warm, and no socket but theirs."""
        def left():
            return {pid: line for pid, line in marked(self.bed.runtime).items()
                    if pid not in self.bed.processes() | self.before | {os.getpid()}
                    and not any(name in line for name in ("quicken-session", "dbus-daemon", "systemd"))}
        self.assertTrue(harness.wait_until(lambda: not left(), 5), left())
        self.assertEqual([], [name for name in self.bed.socket_files() if not name.endswith((".sock", ".ctl"))])

    def script(self, body, name="app.py"):
        """Written as an editor does: one file takes the place of another."""
        path = self.bed.write(name + ".new", HEAD + harness.dedent(body) + "\nserver.serve()\nsys.exit(server.status)\n")
        os.rename(path, self.bed.path(name))
        return self.bed.path(name)

    def answering(self, text, more=""):
        """A script that answers this text."""
        return self.script(f"server.answer = lambda path: {text!r}\n{harness.dedent(more)}")

    def serve(self, *arguments, options=(), stdin=subprocess.DEVNULL, env=None, wait=True):
        """A running `quicken serve`, whose output is in the file `log`; it serves if that is waited for."""
        with open(self.bed.path("log"), "ab") as log:
            process = subprocess.Popen([harness.QUICKEN, "serve", *options, self.bed.path("app.py"), *arguments],
                                       env=self.bed.env(env), cwd=self.bed.work, stdin=stdin, stdout=log, stderr=log)
        self.addCleanup(self.end, process)
        if wait:
            self.assertTrue(harness.wait_until(self.answer, 20), self.log())
        return process

    def end(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self):
        return text_of(self.bed.path("log"))

    def port(self):
        return int(text_of(self.bed.path("port")) or 0)

    def get(self, path="/"):
        client = http.client.HTTPConnection("localhost", self.port(), timeout=20)
        try:
            client.request("GET", path)
            return client.getresponse().read().decode()
        finally:
            client.close()

    def answer(self):
        """The same, or an empty text if nobody listens."""
        try:
            return self.get()
        except OSError:
            return ""

    def wait_answer(self, text, seconds=10):
        self.assertTrue(harness.wait_until(lambda: self.answer() == text, seconds),
                        f"{self.answer()!r} is not {text!r}\n{self.log()}")

    def wait_log(self, text, count=1, seconds=10):
        self.assertTrue(harness.wait_until(lambda: self.log().count(text) >= count, seconds),
                        f"{text!r} is not {count} times in:\n{self.log()}")

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("localhost", self.port())) == 0

    def serving_pid(self):
        """The script's process."""
        return int(self.get("/pid"))
