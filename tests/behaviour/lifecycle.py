"""Servers start once, are seen by everybody who asks, and go without a trace."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

SCRIPT = """
import os, sys, time
time.sleep(0.2)
if __name__ == '__main__':
    print(os.getppid(), *sys.argv[1:])
    sys.exit(len(sys.argv) - 1)
"""


@harness.each_activation
class Lifecycle:
    def setUp(self):
        super().setUp()
        self.script = self.bed.write("some script.py", SCRIPT)

    def target(self):
        return ["--file", self.script]

    def run_it(self, *arguments):
        result = self.bed.quick([self.script, *arguments])
        self.assertEqual((len(arguments), b""), (result.status, result.stderr), result)
        return int(result.stdout.split()[0])

    def active(self):
        return self.bed.ctl("is-active", *self.target())

    def instance(self):
        names = [name for name in os.listdir(self.bed.sockets) if name.endswith(".sock")]
        self.assertEqual(1, len(names), names)
        return names[0][: -len(".sock")]

    def state_of_unit(self, unit):
        return self.bed.systemctl("is-active", unit).stdout.strip().decode()

    def test_first_run_starts_a_server(self):
        parent = self.run_it("a")
        status = self.bed.status(self.script)
        self.assertEqual(parent, status["pid"], "a command's parent is the pid that status shows")
        self.assertEqual(self.bed.activation, status["activation"])
        self.assertEqual(self.script, status["name"])
        self.assert_count(1, lambda: self.bed.commands_run(self.script), "commands_run")
        self.assertEqual(harness.SERVER, os.readlink(f"/proc/{parent}/exe"))
        self.assertEqual(parent, self.run_it())
        self.assert_count(2, lambda: self.bed.commands_run(self.script), "commands_run")

    def test_socket_is_private(self):
        self.run_it()
        self.assertEqual(0o700, os.stat(self.bed.sockets).st_mode & 0o7777)
        for name in os.listdir(self.bed.sockets):
            if name.endswith((".sock", ".ctl")):
                self.assertEqual(0, os.stat(os.path.join(self.bed.sockets, name)).st_mode & 0o077, name)

    def test_systemd_and_quickenctl_agree(self):
        if self.bed.activation != "systemd":
            self.skipTest("there is no systemd in this")
        pid = self.run_it()
        instance = self.instance()
        for suffix in "socket", "service":
            self.assertEqual("active", self.state_of_unit(f"quicken@{instance}.{suffix}"))
        shown = self.bed.systemctl("show", "-P", "MainPID", f"quicken@{instance}.service").stdout
        self.assertEqual(pid, int(shown))
        self.assertEqual(0, self.active().status)
        self.bed.ctl("stop", *self.target())
        for suffix in "socket", "service":
            self.assertIn(self.state_of_unit(f"quicken@{instance}.{suffix}"), ("inactive", "unknown"))
        self.assertNotEqual(0, self.active().status)

    def test_stop_by_systemctl(self):
        if self.bed.activation != "systemd":
            self.skipTest("there is no systemd in this")
        self.run_it()
        self.assertEqual(0, self.bed.systemctl("stop", f"quicken@{self.instance()}.socket").status)
        self.assertNotEqual(0, self.active().status)
        self.assertFalse(self.bed.processes())
        self.run_it()

    def test_systemctl_status_shows_the_script(self):
        if self.bed.activation != "systemd":
            self.skipTest("there is no systemd in this")
        self.run_it()
        for command in ("status", "list-units"):
            shown = self.bed.systemctl(command, "--full", "quicken@*").stdout
            self.assertIn(self.script.encode(), shown)
        self.assertIn(b"active (running)", self.bed.systemctl("status", "quicken@*.service").stdout)

    def test_status_without_a_server(self):
        self.assertEqual("down", self.bed.status(self.script)["status"])
        self.run_it()
        self.assertEqual("up", self.bed.status(self.script)["status"])

    def test_is_active(self):
        self.assertNotEqual(0, self.active().status)
        self.run_it()
        self.assertEqual(0, self.active().status)
        self.bed.ctl("stop", *self.target())
        self.assertNotEqual(0, self.active().status)

    def test_list(self):
        self.assertNotIn(self.script.encode(), self.bed.ctl("list").stdout)
        other = self.bed.write("other.py", "pass\n")
        self.run_it()
        self.bed.quick([other])
        shown = self.bed.ctl("list")
        self.assertEqual(0, shown.status)
        self.assertIn(self.script.encode(), shown.stdout)
        self.assertIn(other.encode(), shown.stdout)

    def test_list_shows_the_idle(self):
        """A socket without a server, which the next run will start, is listed as such."""
        if self.bed.activation != "systemd":
            self.skipTest("without systemd an idle server leaves no socket")
        self.bed.environment["QUICKEN_IDLE_TIMEOUT"] = "0.1"
        self.run_it()
        self.assertTrue(harness.wait_until(lambda: not self.bed.processes()))
        shown = self.bed.ctl("list").stdout
        self.assertIn(self.script.encode(), shown)
        self.assertIn(b"idle", shown)

    def test_ends_while_it_is_asked(self):
        """As one does that is idle: it is down, and what it has left is removed."""
        self.run_it()
        path = os.path.join(self.bed.sockets, self.instance() + ".ctl")
        self.bed.ctl("stop", *self.target())
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            threading.Thread(target=self.answer_nobody, args=(listener,), daemon=True).start()
            status = self.bed.ctl("status", "--json", *self.target())
            self.assertEqual((0, {"status": "down"}, b""), (status.status, json.loads(status.stdout), status.stderr))
            self.assertNotIn(b"mute", self.bed.ctl("list").stdout)
            self.assertIn(b"down", self.bed.ctl("explain", *self.target()).stdout)
            stop = self.bed.ctl("stop", *self.target())
            self.assertEqual((0, b""), (stop.status, stop.stderr))
            self.assertFalse(os.path.exists(path))

    def answer_nobody(self, listener):
        """Greets whoever connects (D-Bus specification, Authentication Protocol), and ends at the first message."""
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection:
                got = b""
                while b"BEGIN\r\n" not in got and (part := connection.recv(4096)):
                    got += part
                data = b"DATA\r\n" if b"DATA" in got else b""
                connection.sendall(data + b"OK " + b"0" * 31 + b"1\r\nAGREE_UNIX_FD\r\n")
                connection.recv(1)

    def test_stop_leaves_nothing(self):
        self.run_it()
        self.assertTrue(self.bed.leftovers())
        self.assertEqual(0, self.bed.ctl("stop", *self.target()).status)
        self.assertEqual([], harness.wait_until(lambda: not self.bed.leftovers(), 3) and self.bed.leftovers())

    def test_stop_of_one_leaves_the_others(self):
        other = self.bed.write("other.py", "import os\nif __name__ == '__main__':\n    print(os.getppid())\n")
        self.run_it()
        pid = int(self.bed.quick([other]).stdout)
        self.bed.ctl("stop", *self.target())
        self.assertNotEqual(0, self.active().status)
        self.assertEqual(pid, int(self.bed.quick([other]).stdout))

    def test_stop_of_nothing(self):
        self.bed.ctl("stop", *self.target())
        self.assertEqual([], self.bed.leftovers())

    def test_stop_lets_a_command_end(self):
        script = self.bed.write("slow.py", "import time\nif __name__ == '__main__':\n    print('up', flush=True)\n"
                                           "    time.sleep(1)\n    print('done')\n")
        self.bed.quick([script])
        client = self.bed.start([script])
        self.assertEqual(b"up\n", client.stdout.readline())
        stop = self.bed.ctl("stop", "--file", script)
        self.assertEqual(0, stop.status, stop)
        out, err = client.communicate(timeout=15)
        self.assertEqual((0, b"done\n", b""), (client.returncode, out, err))

    def test_restart(self):
        """The program is warmed anew: what its prelude computed is computed again."""
        script = self.bed.write("token.py", "TOKEN = hash('token')\n"
                                            "if __name__ == '__main__':\n    print(TOKEN)\n")
        first = self.bed.quick([script]).stdout
        self.assertEqual(first, self.bed.quick([script]).stdout)
        self.assertEqual(0, self.bed.ctl("restart", "--file", script).status)
        second = self.bed.quick([script]).stdout
        self.assertNotEqual(second, first)
        self.assertEqual(second, self.assert_served([script]).stdout)

    def test_restarts_lose_nobody(self):
        self.run_it()
        clients = []
        for round_ in range(8):
            clients += [self.bed.start([self.script, str(round_)]) for _ in range(3)]
            self.bed.ctl("restart", *self.target())
        for number, client in enumerate(clients):
            out, err = client.communicate(timeout=harness.TIMEOUT)
            self.assertEqual((1, b""), (client.returncode, err), f"client {number}: {out}")
            self.assertEqual(str(number // 3).encode(), out.split()[1])

    def test_no_command_of_quickenctl_starts_a_server(self):
        for arguments in (["list"], ["status", *self.target()], ["status", "--json", *self.target()],
                          ["is-active", *self.target()], ["stop", *self.target()], ["restart", *self.target()],
                          ["--help"], ["--version"]):
            with self.subTest(arguments=arguments):
                self.bed.ctl(*arguments)
                self.assertEqual([], self.bed.leftovers())

    def test_twenty_clients_at_once(self):
        """On a cold program: one server, and twenty right results."""
        clients = [self.bed.start([self.script, str(number)]) for number in range(20)]
        parents = set()
        for number, client in enumerate(clients):
            out, err = client.communicate(timeout=harness.TIMEOUT)
            self.assertEqual((1, b""), (client.returncode, err), out)
            parent, word = out.split()
            self.assertEqual(str(number).encode(), word)
            parents.add(int(parent))
        self.assertEqual({self.bed.server_pid(self.script)}, parents)
        self.assert_count(20, lambda: self.bed.commands_run(self.script), "commands_run")

    def test_killed_server_is_replaced(self):
        first = self.run_it()
        os.kill(first, signal.SIGKILL)
        self.assertTrue(harness.wait_until(lambda: not harness.process_state(first)))
        second = self.run_it()
        self.assertNotEqual(first, second)

    def test_server_outlives_its_first_client(self):
        """Also when that one's whole process group and session go."""
        shell = subprocess.Popen(["setsid", "sh", "-c", '"$@"; kill -HUP 0', "sh", *self.bed.quick_argv([self.script])],
                                 env=self.bed.env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        out = shell.communicate(timeout=harness.TIMEOUT)[0]
        time.sleep(0.2)
        self.assertEqual(int(out.split()[0]), self.run_it())

    def test_server_keeps_nothing_of_its_first_client_open(self):
        """The pipe's reader sees the end although the server lives on."""
        client = self.bed.start([self.script])
        start = time.monotonic()
        client.communicate(timeout=harness.TIMEOUT)
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual(0, self.active().status)
        self.assertNotEqual(self.bed.work, os.readlink(f"/proc/{self.bed.server_pid(self.script)}/cwd"))

    def test_first_line(self):
        """`#!/usr/bin/env quicken` and `quicken SCRIPT`."""
        path = self.bed.write("tool", "#!/usr/bin/env quicken\n" + SCRIPT, 0o755)
        env = {"PATH": os.path.join(harness.PREFIX, "bin") + ":" + harness.PATH}
        for argv in ([path, "--file", "-m"], [harness.QUICKEN, path, "--file", "-m"]):
            result = self.bed.run(argv, env=env)
            self.assertEqual((2, b"--file -m"), (result.status, result.stdout.strip().split(b" ", 1)[1]), result)

    def test_modules_and_entry_points(self):
        for select, plain in ((["-m", "json.tool"], [harness.PYTHON, "-m", "json.tool"]),
                              (["--entry", "json.tool:main"],
                               [harness.PYTHON, "-c", "import json.tool, sys; sys.exit(json.tool.main())"])):
            with self.subTest(select=select):
                expected = self.bed.run(plain, stdin=b'{"a": [1]}')
                for _ in range(3):
                    self.assertEqual(expected, self.bed.run([harness.QUICKEN, "run", *select], stdin=b'{"a": [1]}'))
                self.assertEqual(0, self.bed.ctl("is-active", *select).status)


if __name__ == "__main__":
    harness.main()
