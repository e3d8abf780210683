"""A directory, servers and helper processes of the benchmark's own, all gone at its end."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from driver import BenchError

PATH = "/usr/local/bin:/usr/bin:/bin"
IDLE = 900  # seconds after which a server ends should the benchmark be killed


def wait_until(condition, seconds, step=0.02):
    """The first true value of `condition()`; its last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(step)


def processes_with(mark):
    """Pids of those that have `mark` in the environment that they were started with."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark in file.read():
                    found.add(int(pid))
        except OSError:
            pass  # it has ended, or is another user's
    return found


class Build:
    """A build tree or an installation, with a runtime directory that no other servers are in."""

    def __init__(self, prefix, number, scratch, activation):
        self.prefix = os.path.realpath(prefix)
        self.quicken = os.path.join(self.prefix, "bin", "quicken")
        self.ctl = os.path.join(self.prefix, "bin", "quickenctl")
        for program in (self.quicken, self.ctl):
            if not os.access(program, os.X_OK):
                raise BenchError(f"{program} is not there: build it, or name another build")
        self.env = {**scratch.env, "QUICKEN_ACTIVATION": activation, "QUICKEN_IDLE_TIMEOUT": str(IDLE),
                    "XDG_STATE_HOME": scratch.directory(f"state{number}"),
                    "XDG_RUNTIME_DIR": scratch.directory(f"run{number}")}
        if activation == "systemd":
            for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
                if name in os.environ:
                    self.env[name] = os.environ[name]
        self.scripts = set()  # that a server may have come up for

    def argv(self, script, *arguments):
        self.scripts.add(script)
        return [self.quicken, "run", "--file", script, *arguments]

    def control(self, *arguments):
        return subprocess.run([self.ctl, *arguments], env=self.env, capture_output=True, timeout=60)

    def status(self, script):
        try:
            return json.loads(self.control("status", "--json", "--file", script).stdout)
        except ValueError:
            return {}

    def wait_ready(self, script, seconds=60):
        if not wait_until(lambda: self.status(script).get("state") == "ready", seconds, 0.05):
            raise BenchError(f"{script}: its server is not ready: {self.status(script)}")

    def learn(self, script):
        done = self.control("learn", "on", "--file", script)
        if done.returncode:
            raise BenchError(f"quickenctl learn on --file {script}: {done.stderr.decode().strip()}")

    def stop(self, script):
        self.control("stop", "--now", "--file", script)


class Scratch:
    """As a context: what was started ends and what was written goes with it, however that ends."""

    def __init__(self, programs, activation):
        self.programs = programs  # where bench-driver and its kin are
        self.activation = activation
        self.root = tempfile.mkdtemp(prefix="qkb.")  # short: names of sockets end at 107 bytes
        self.work = self.directory("work")
        self.env = {"HOME": self.directory("home"), "LANG": "C.UTF-8", "PATH": PATH, "TERM": "xterm",
                    "HGPLAIN": "1", "HGRCPATH": "", "HGUSER": "bench",
                    "CHGHG": "/usr/bin/hg", "CHGSOCKNAME": os.path.join(self.directory("chg"), "server"),
                    "BLACK_CACHE_DIR": "/dev/null/none"}  # else black would only look the file up
        self.builds = []
        self.helpers = []

    def directory(self, name):
        path = os.path.join(self.root, name)
        os.makedirs(path, 0o700, exist_ok=True)
        return path

    def add_build(self, prefix):
        self.builds.append(Build(prefix, len(self.builds) + 1, self, self.activation))
        return self.builds[-1]

    def write(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def program(self, name):
        """Of those built with the benchmark; empty if it is not there."""
        path = os.path.join(self.programs, name)
        return path if os.access(path, os.X_OK) else ""

    def helper(self, argv, until):
        """Starts a process that lives as long as the benchmark; `until` becomes true once it is of use."""
        process = subprocess.Popen(argv, env=self.env, cwd=self.work, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.helpers.append(process)
        if not wait_until(until, 60):
            raise BenchError(f"{argv}: is not ready")
        return process

    def end_helper(self, process):
        process.terminate()
        process.wait()
        self.helpers.remove(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for build in self.builds:
                for script in build.scripts:
                    build.stop(script)
            for process in list(self.helpers):
                self.end_helper(process)
            self.end_rest()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
            signal.signal(signal.SIGINT, previous)

    def end_rest(self):
        """chg's server, and whatever is left of a run that was broken off: all have our home."""
        mark = os.fsencode("HOME=" + self.env["HOME"]) + b"\0"
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in processes_with(mark):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            if wait_until(lambda: not processes_with(mark), 3):
                return
        raise BenchError(f"processes that do not end: {sorted(processes_with(mark))}")
