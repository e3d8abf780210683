"""A server after thousands of commands is the server that it was after the first hundred.

Clients are spawned by posix_spawn(3), so that they, not this driver, are what takes time. Each one's output and
status is checked: a command prints its arguments and its standard input and exits with a status of its own.

What must not grow, of supervisor and template: open files (their kinds, from /proc/PID/fd), VmRSS, and RssAnon,
which is what a leak adds to; both within 1 MB. Of the server: processes, zombies included, and sockets. In a bed, whose
/dev/pts is its own, also terminals. QUICKEN_TEST_ROUNDS sets the number of sequential runs (at least 200).
"""

import os
import random
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

AT_ONCE = 100
AT_REST = 3  # children of a supervisor: a template and two spares
SETTLED = 100  # runs after which a server must not grow any more
ROUNDS = max(harness.ROUNDS or 5000, 2 * SETTLED)
MEGABYTE = 1024  # kB, as in /proc/PID/status

ECHO = """
import sys, time
if __name__ == '__main__':
    text = sys.stdin.read()
    time.sleep(float(sys.argv[2]))
    print(sys.argv[1:], text)
    sys.exit(int(sys.argv[1]) % 7)
"""


class Client:
    """A quickened run with pipes for input and output; its errors go to its output."""

    def __init__(self, bed, script, number, seconds=0):
        self.number, self.seconds = number, seconds
        out, write_out = os.pipe()
        read_in, into = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, read_in, 0), (os.POSIX_SPAWN_DUP2, write_out, 1),
                   (os.POSIX_SPAWN_DUP2, write_out, 2)]
        argv = bed.quick_argv([script, str(number), str(seconds)])
        self.pid = os.posix_spawn(argv[0], argv, bed.env(), file_actions=actions)
        os.close(read_in)
        os.close(write_out)
        os.write(into, b"input of %d" % number)
        os.close(into)
        self.out = out

    def expected(self):
        text = f"{[str(self.number), str(self.seconds)]} input of {self.number}\n"
        return self.number % 7, text.encode()

    def finish(self):
        """Exit status, or -N by signal N; and its output."""
        with open(self.out, "rb") as file:
            output = file.read()
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), output


def memory(pid, name):
    """kB, as /proc/PID/status has it."""
    with open(f"/proc/{pid}/status", "r") as file:
        return int(re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.MULTILINE)[1])


def open_files(pid):
    """Their kinds, sorted: without the numbers that tell one socket from the other."""
    kinds = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            kinds.append(re.sub(r"\[\d+\]", "", os.readlink(f"/proc/{pid}/fd/{fd}")))
        except FileNotFoundError:
            kinds.append("closed meanwhile")
    return sorted(kinds)


def children(parent):
    """Pids by age, the oldest first, zombies included."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b") ")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append((int(fields[19]), int(pid)))  # start time: proc(5)
    return [pid for _, pid in sorted(found)]


def is_supervisor(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe") == harness.SERVER
    except OSError:
        return False


def terminals():
    """How many there are; 0 where others open some too."""
    with open("/proc/self/mounts", "r") as mounts:
        private = "bed-pts /dev/pts " in mounts.read()
    return len(os.listdir("/dev/pts")) if private else 0


@harness.each_activation
class Soak:
    def setUp(self):
        super().setUp()
        self.script = self.bed.write("echo.py", ECHO)
        self.started = 0

    def client(self, seconds=0):
        self.started += 1
        return Client(self.bed, self.script, self.started, seconds)

    def assert_runs(self, count):
        for _ in range(count):
            client = self.client()
            self.assertEqual(client.expected(), client.finish())

    def assert_run_at_once(self):
        clients = [self.client() for _ in range(AT_ONCE)]
        results = [client.finish() for client in clients]  # of all before the first is judged: none is left behind
        for client, result in zip(clients, results):
            self.assertEqual(client.expected(), result)

    def supervisors(self):
        return len([pid for pid in self.bed.processes() if is_supervisor(pid)])

    def holdings(self):
        """All that must be the same after more runs."""
        supervisor = self.bed.server_pid(self.script)
        below = children(supervisor)
        template = below[0]
        return {
            "supervisor": supervisor,
            "template": template,
            "children of the supervisor": len(below),
            "processes": len(self.bed.processes()),
            "files of the supervisor": open_files(supervisor),
            "files of the template": open_files(template),
            "sockets": sorted(self.bed.socket_files()),
            "terminals": terminals(),
            "commands": self.bed.status(self.script)["commands_running"],
        }

    def settled(self):
        """The holdings, once they have been the same for half a second: a spare is replaced after its run has begun, and
        those for a crowd are given back when it is over."""
        since, last = time.monotonic(), None
        deadline = since + 40
        while time.monotonic() < min(since + 0.5, deadline):
            try:
                now = self.holdings()
            except (FileNotFoundError, IndexError):
                now = None
            if now != last or now is None or now["children of the supervisor"] > AT_REST:
                since, last = time.monotonic(), now
            time.sleep(0.05)
        return last

    def memory(self, holdings):
        return {f"{name} of the {what}": memory(holdings[what], name)
                for what in ("supervisor", "template") for name in ("VmRSS", "RssAnon")}

    def assert_nothing_grew(self, holdings, sizes):
        now = self.settled()
        self.assertEqual(holdings, now)
        self.assertEqual(0, now["commands"])
        for what, size in self.memory(now).items():
            self.assertLessEqual(size - sizes[what], MEGABYTE, f"{what}, in kB: {sizes[what]}, now {size}")

    def assert_nothing_grows(self, work):
        """During `work`, of a server that has run its first hundred."""
        self.assert_runs(SETTLED)
        holdings = self.settled()
        sizes = self.memory(holdings)
        work()
        self.assert_nothing_grew(holdings, sizes)
        return sizes

    def test_a_hundred_at_once_start_one_server(self):
        self.assert_run_at_once()
        self.assertEqual(1, self.supervisors())
        holdings = self.settled()
        self.assert_runs(20)
        self.assertEqual(holdings, self.settled())

    def test_a_hundred_at_once(self):
        def work():
            for _ in range(5):
                self.assert_run_at_once()

        self.assert_nothing_grows(work)
        self.assert_count(self.started, lambda: self.bed.commands_run(self.script), "not all runs were the server's")

    def test_thousands_in_a_row(self):
        self.assert_nothing_grows(lambda: self.assert_runs(ROUNDS - SETTLED))
        self.assert_count(ROUNDS, lambda: self.bed.commands_run(self.script), "not all runs were the server's")

    def assert_killed(self, client, number, seed):
        """It has come to its end before, or by the signal."""
        result = client.finish()
        # Python only tells of a KeyboardInterrupt, and goes on, where it cannot raise one.
        if result != client.expected() and b"KeyboardInterrupt" not in result[1]:
            self.assertEqual(-number, result[0], f"seed {seed}: {result}")

    def test_killed_first_runs(self):
        """Who starts the server is killed while doing so: others with it and after it are served, by one server."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT) * 5:
            self.bed.ctl("stop", "--file", self.script)
            victim, *others = [self.client() for _ in range(chance.randrange(1, 4))]
            time.sleep(chance.random() * 0.1)
            os.kill(victim.pid, number)
            self.assert_killed(victim, number, seed)
            for client in [*others, self.client()]:
                self.assertEqual(client.expected(), client.finish(), f"seed {seed}")
            self.assertEqual(1, self.supervisors(), f"seed {seed}")

    def test_killed_clients(self):
        """Ten at a time, up to half of them killed, at any time of their lives; the others do not notice."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)

        def work():
            for _ in range(50):
                clients = [self.client(chance.choice((0, 0, 0.02))) for _ in range(10)]
                victims = {client: chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
                           for client in chance.sample(clients, chance.randrange(6))}
                for client, number in victims.items():
                    time.sleep(chance.choice((0, 0.001, 0.005)))
                    os.kill(client.pid, number)
                for client in clients:
                    if client in victims:
                        self.assert_killed(client, victims[client], seed)
                    else:
                        self.assertEqual(client.expected(), client.finish(), f"seed {seed}")

        self.assert_nothing_grows(work)
        before = self.bed.commands_run(self.script)
        self.assert_runs(20)
        self.assert_count(before + 20, lambda: self.bed.commands_run(self.script), "not all runs were the server's")


if __name__ == "__main__":
    harness.main()
