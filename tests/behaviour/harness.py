"""What the behaviour tests share: a place to run programs in, plainly and quickened.

The measure of every test is the plain run: the same command line without
quicken, under the same environment. The programs under test are those of
QUICKEN_PREFIX, an installation or a build tree (default: build/release).

Run one subject by `python3 SUBJECT.py [-v] [--jobs N] [TEST...]`. Exit status: 0 passed,
1 failed, 77 if every test was skipped. The last line of output has the counts.
"""

import collections
import fcntl
import glob
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

sys.dont_write_bytecode = True

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = os.path.abspath(os.environ.get("QUICKEN_PREFIX") or os.path.join(REPOSITORY, "build", "release"))
QUICKEN = os.path.join(PREFIX, "bin", "quicken")
QUICKENCTL = os.path.join(PREFIX, "bin", "quickenctl")
SERVER = os.path.join(PREFIX, "libexec", "quicken", "quicken-server")
PYTHON = "/usr/bin/python3"
PATH = "/usr/local/bin:/usr/bin:/bin"
TIMEOUT = 60  # seconds that any one run may take
JOBS = int(os.environ.get("QUICKEN_TEST_JOBS") or 1)  # cases of a table at once; --jobs N says it too
ROUNDS = int(os.environ.get("QUICKEN_TEST_ROUNDS") or 0)  # 0: each test's own default

Result = collections.namedtuple("Result", "status stdout stderr")


def user_manager():
    """Why no user manager can be used, or an empty text."""
    if not os.environ.get("XDG_RUNTIME_DIR"):
        return "XDG_RUNTIME_DIR is not set"
    try:
        state = subprocess.run(["systemctl", "--user", "is-system-running"], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"systemctl --user: {error}"
    if state.stdout.strip() not in (b"running", b"degraded", b"starting"):
        return f"systemctl --user is-system-running: {(state.stdout + state.stderr).decode().strip()}"
    return ""


def wait_until(condition, seconds=5.0, step=0.01):
    """The first true value of `condition()`; its last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(step)


def process_state(pid):
    """One letter of proc(5); empty if there is no such process or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            state = stat.read().rpartition(b") ")[2][:1].decode()
    except OSError:
        return ""
    return "" if state in "ZX" else state


def processes_of(runtime):
    """Pids of the servers, templates, spares and commands that have `runtime` as their runtime directory.

    Others of the same user are none of a test's business: it must neither
    count them nor end them.
    """
    mark = b"XDG_RUNTIME_DIR=" + os.fsencode(runtime)
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if mark not in environ.read().split(b"\0"):
                    continue
            with open(f"/proc/{pid}/maps", "rb") as maps:
                loaded = maps.read()
        except OSError:
            continue
        if b"/quicken-server\n" in loaded or b"quicken-interp.so" in loaded:
            found.add(int(pid))
    return found


class Bed:
    """A home, a runtime directory, an environment; all servers end with it.

    activation: 'systemd' (the real user manager of the environment), 'self' or
    'none', as QUICKEN_ACTIVATION has it.
    """

    def __init__(self, activation):
        self.activation = activation
        self.root = tempfile.mkdtemp(prefix="qk.", dir="/tmp")  # short: names of sockets end at 107 bytes
        self.home = os.path.join(self.root, "home")
        self.work = os.path.join(self.root, "work")
        os.mkdir(self.home)
        os.mkdir(self.work)
        if activation == "systemd":
            self.runtime = os.environ["XDG_RUNTIME_DIR"]
        else:
            self.runtime = os.path.join(self.root, "run")
            os.mkdir(self.runtime, 0o700)
        self.sockets = os.path.join(self.runtime, "quicken")
        self.environment = {
            "HOME": self.home,
            "LANG": "C.UTF-8",
            "PATH": PATH,
            "TERM": "dumb",
            "QUICKEN_ACTIVATION": activation,
            "XDG_RUNTIME_DIR": self.runtime,
        }
        if activation == "systemd" and "DBUS_SESSION_BUS_ADDRESS" in os.environ:
            self.environment["DBUS_SESSION_BUS_ADDRESS"] = os.environ["DBUS_SESSION_BUS_ADDRESS"]
        # Of a user manager that is not only ours: left alone.
        self.before = processes_of(self.runtime)
        self.instances_before = set(self.instances())
        self.drop_ins_before = set(self.drop_ins())
        self.sockets_before = set(self.socket_files())

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, text, mode=0o644):
        """Makes the file and returns its path. The content is `text` without its common indentation."""
        path = self.path(name)
        data = text if isinstance(text, bytes) else dedent(text).encode()
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def env(self, extra=None):
        merged = dict(self.environment, **(extra or {}))
        return {name: value for name, value in merged.items() if value is not None}

    def run(self, argv, stdin=b"", env=None, cwd=None, **options):
        """A process's Result; `env` is what differs, a value of None unsets."""
        if "stdin_file" in options:
            options["stdin"] = options.pop("stdin_file")
        else:
            options["input"] = stdin
        done = subprocess.run(argv, capture_output=True, env=self.env(env), cwd=cwd or self.work,
                              timeout=TIMEOUT, **options)
        return Result(done.returncode, done.stdout, done.stderr)

    def plain_argv(self, argv):
        """`argv` starts with a script: executed if it can be, else given to python3."""
        return list(argv) if os.access(argv[0], os.X_OK) else [PYTHON, *argv]

    def quick_argv(self, argv, python=None):
        return [QUICKEN, "run", *(["--python", python] if python else []), "--file", *argv]

    def plain(self, argv, **options):
        return self.run(self.plain_argv(argv), **options)

    def quick(self, argv, python=None, **options):
        return self.run(self.quick_argv(argv, python), **options)

    def start(self, argv, env=None, cwd=None, **options):
        """A quickened process with pipes, not waited for."""
        for name in ("stdin", "stdout", "stderr"):
            options.setdefault(name, subprocess.PIPE)
        return subprocess.Popen(self.quick_argv(argv), env=self.env(env), cwd=cwd or self.work, **options)

    def on_own_terminal(self, argv):
        """What a process shows whose three streams and controlling terminal are one, and its status."""
        master, slave = pty.openpty()
        process = subprocess.Popen(argv, env=self.env(), cwd=self.work, stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        shown = b""
        with os.fdopen(master, "rb", buffering=0) as terminal:
            try:
                while part := terminal.read(65536):
                    shown += part
            except OSError:
                pass  # EIO: everything was read and nobody has it open
        return shown, process.wait(TIMEOUT)

    def ctl(self, *arguments, **options):
        return self.run([QUICKENCTL, *arguments], **options)

    def status(self, script, **options):
        """`quickenctl status --json` of a script's server, whatever its exit status."""
        result = self.ctl("status", "--json", "--file", script, **options)
        try:
            return json.loads(result.stdout)
        except ValueError:
            raise AssertionError(f"status --json gave no JSON: {result}") from None

    def commands_run(self, script, **options):
        return int(self.status(script, **options).get("commands_run") or 0)

    def server_pid(self, script, **options):
        return int(self.status(script, **options).get("pid") or 0)

    def systemctl(self, *arguments):
        return self.run(["systemctl", "--user", "--no-pager", *arguments])

    def units(self):
        """Names of all loaded units of quicken."""
        listed = self.systemctl("list-units", "--all", "--plain", "--no-legend", "quicken@*").stdout
        return [line.split()[0].decode() for line in listed.splitlines() if line.strip()]

    def leftovers(self):
        """All that a stop must not leave behind, as texts."""
        left = [f"process {pid}: {command_line(pid)}" for pid in self.processes()]
        left += [f"file {name}" for name in set(self.socket_files()) - self.sockets_before]
        if self.activation == "systemd":
            left += [f"unit {name}" for name in self.units() if instance_of(name) not in self.instances_before]
            for path in set(self.drop_ins()) - self.drop_ins_before:
                left.append(f"drop-in {path} with {os.listdir(path)}")
        return left

    def processes(self):
        """Of the servers that have come since this bed was made."""
        return processes_of(self.runtime) - self.before

    def socket_files(self):
        return os.listdir(self.sockets) if os.path.isdir(self.sockets) else []

    def drop_ins(self):
        return glob.glob(os.path.join(glob.escape(self.runtime), "systemd", "user", "quicken@*.d"))

    def instances(self):
        """Ids of all that `quickenctl list` shows."""
        result = self.ctl("list", "--json")
        return [entry["instance"] for entry in json.loads(result.stdout)]

    def stop(self):
        """Stops every server; returns what is left."""
        stopped = [self.ctl("stop", "--instance", instance)
                   for instance in self.instances() if instance not in self.instances_before]
        if wait_until(lambda: not self.leftovers(), 5):
            return []
        return self.leftovers() + [f"quickenctl stop: {stopped}"]

    def close(self):
        left = self.stop()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if left and self.activation == "systemd":
            for unit in self.units():
                if instance_of(unit) not in self.instances_before:
                    self.systemctl("stop", unit)
                    self.systemctl("reset-failed", unit)
            for path in set(self.drop_ins()) - self.drop_ins_before:
                shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)
        if left:
            raise AssertionError("left behind after `quickenctl stop`:\n" + "\n".join(left))


def instance_of(unit):
    return unit.partition("@")[2].partition(".")[0]


def dedent(text):
    lines = text.split("\n")
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    margin = min(indents) if indents else 0
    return "\n".join(line[margin:] for line in lines).lstrip("\n")


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "gone"


class Case(unittest.TestCase):
    """A test with a Bed of its own, in `self.bed`."""

    activation = "self"
    maxDiff = 4000

    def setUp(self):
        if not os.access(QUICKEN, os.X_OK):
            self.fail(f"{QUICKEN} is not there: build it, or set QUICKEN_PREFIX")
        if self.activation == "systemd":
            reason = user_manager()
            if reason:
                self.skipTest(reason)
        self.bed = Bed(self.activation)
        self.addCleanup(self.bed.close)

    def start_display(self):
        """The name of an X server's display that lasts as long as the test."""
        out, into = os.pipe()
        server = subprocess.Popen(["Xvfb", "-displayfd", str(into), "-noreset", "-nolisten", "tcp"], pass_fds=[into],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(into)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        with os.fdopen(out) as file:
            name = ":" + file.readline().strip()
        self.assertNotEqual(":", name)
        return name

    def assert_result(self, expected, actual, what):
        if expected == actual:
            return
        for name in Result._fields:
            self.assertEqual(getattr(expected, name), getattr(actual, name), f"{name} differs, {what}")

    def assert_same(self, argv, reset=None, normal=lambda result: result, env=None, served=True, python=None,
                    plain=None, **options):
        """The plain run and the quickened ones, cold and warm, give the same.

        reset   called before each run, puts the files back
        normal  maps a Result to what is compared (times, pids)
        served  a server must have run it: its count of commands must have grown
        plain   the plain command line, where that is not the script's
        """
        bed = self.bed

        def compare(runner, command, **more):
            if reset:
                reset()
            return normal(runner(command, env=env, **more, **options))

        expected = compare(bed.run, plain or bed.plain_argv(argv))
        self.assert_result(expected, compare(bed.quick, argv, python=python), "cold")
        before = self.count(argv[0], env, python) if served else 0
        self.assert_result(expected, compare(bed.quick, argv, python=python), "warm")
        if served:
            self.assert_count(before + 1, lambda: self.count(argv[0], env, python), "the warm run was not the server's")
        return expected

    def count(self, script, env, python):
        """Commands that the script's server has run."""
        select = (["--python", python] if python else []) + ["--file", script]
        result = self.bed.ctl("status", "--json", *select, env=env)
        try:
            return int(json.loads(result.stdout).get("commands_run") or 0)
        except ValueError:
            self.fail(f"status --json gave no JSON: {result}")

    def assert_served(self, argv, **options):
        """A run that a server did; returns its Result."""
        before = self.bed.commands_run(argv[0])
        result = self.bed.quick(argv, **options)
        self.assert_count(before + 1, lambda: self.bed.commands_run(argv[0]), f"not the server's: {result}")
        return result

    def assert_count(self, expected, count, what):
        """A server may count a command after its client has ended."""
        wait_until(lambda: count() == expected, 2)
        self.assertEqual(expected, count(), what)


def each_activation(case):
    """Class decorator: the tests once through systemd and once without."""
    module = sys.modules[case.__module__]
    for activation in ("systemd", "self"):
        name = f"{case.__name__}_{activation}"
        made = type(name, (case, Case), {"activation": activation, "__module__": case.__module__})
        setattr(module, name, made)
    return case


class Outcome(unittest.TextTestResult):
    """Counts tests, not subtests: a test with a failed subtest has failed once."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.bad = set()

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:
            self.bad.add(test.id())

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.bad.add(test.id())

    def addError(self, test, error):
        super().addError(test, error)
        self.bad.add(test.id())

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.bad.add(test.id())


def take_jobs():
    """`--jobs N` of the command line, before anybody asks for JOBS."""
    global JOBS
    if "--jobs" in sys.argv:
        at = sys.argv.index("--jobs")
        JOBS = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]


take_jobs()


def main():
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Outcome)
    program = unittest.main(testRunner=runner, exit=False)
    result = program.result
    failed = len(result.bad)
    # What is known not to work yet counts as skipped, not as passed.
    skipped = len({test.id() for test, _ in result.skipped + result.expectedFailures} - result.bad)
    passed = max(0, result.testsRun - failed - skipped)
    sys.stderr.flush()
    print(f"results: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
    sys.exit(1 if failed or not result.wasSuccessful() else 77 if not passed else 0)
