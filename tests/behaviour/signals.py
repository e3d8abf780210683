"""Whatever signal is sent to a client has the effect that it has on a plain run."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

SIGNALS = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "CONT", "WINCH")

LISTEN = """
import os, signal, sys, time
if __name__ == '__main__':
    def heard(number, frame):
        os.write(1, (signal.Signals(number).name + '\\n').encode())
    for name in %r:
        signal.signal(getattr(signal, 'SIG' + name), heard)
    os.write(1, ('%%d\\n' %% os.getpid()).encode())
    while True:
        time.sleep(10)
""" % (SIGNALS,)

# Waits for signals, all of which it blocks, and tells their numbers, values (int at byte 24 of siginfo_t) and codes.
QUEUE = """
import ctypes, os, signal
if __name__ == '__main__':
    libc = ctypes.CDLL(None)
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    mask, info = ctypes.create_string_buffer(b'\\xff' * 128, 128), ctypes.create_string_buffer(128)
    print('up', flush=True)
    while True:
        number = libc.sigwaitinfo(mask, info)
        code, value = (int.from_bytes(info.raw[at:at + 4], 'little', signed=True) for at in (8, 24))
        print(number, value if code == -1 else None, flush=True)
"""

NOT_RELAYED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGTTOU, 32, 33}  # 32 and 33 are the C library's own


@harness.each_activation
class Signals:
    def script(self, body, name="script.py"):
        """A script of which `body` is the main part."""
        lines = harness.dedent(body).splitlines()
        return self.bed.write(name, "import sys, os\nif __name__ == '__main__':\n" +
                              "".join(f"    {line}\n" for line in lines))

    def up(self, argv, **options):
        """A process that has said `up`."""
        process = subprocess.Popen(argv, env=self.bed.env(), cwd=self.bed.work, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, **options)
        self.addCleanup(lambda: (process.kill(), process.wait(), process.stdout.close(), process.stderr.close()))
        self.assertEqual(b"up\n", process.stdout.readline())
        return process

    def three(self, script):
        """Command lines of a plain run, a cold and a warm one."""
        return self.bed.plain_argv([script]), self.bed.quick_argv([script]), self.bed.quick_argv([script])

    def listening(self):
        script = self.bed.write("listen.py", LISTEN)
        self.bed.quick([self.bed.write("other.py", "pass\n")])
        for warm in (False, True):
            client = self.bed.start([script], stderr=subprocess.STDOUT)
            try:
                command = int(client.stdout.readline())
                yield warm, client, command
            finally:
                client.kill()
                client.wait()
                client.stdout.close()
                client.stdin.close()

    def test_signals_reach_the_command(self):
        for warm, client, command in self.listening():
            self.assertNotEqual(client.pid, command, "this was a plain run")
            for name in SIGNALS:
                with self.subTest(signal=name, warm=warm):
                    client.send_signal(getattr(signal, "SIG" + name))
                    self.assertEqual(f"SIG{name}\n".encode(), client.stdout.readline())

    def stop_and_continue(self, stop):
        for warm, client, command in self.listening():
            with self.subTest(warm=warm):
                self.assertNotEqual(client.pid, command, "this was a plain run")
                client.send_signal(stop)
                self.assertTrue(harness.wait_until(lambda: harness.process_state(command) == "T"), "command runs on")
                self.assertTrue(harness.wait_until(lambda: harness.process_state(client.pid) == "T"), "client runs on")
                client.send_signal(signal.SIGCONT)
                self.assertTrue(harness.wait_until(lambda: harness.process_state(command) == "S"), "command is stopped")
                self.assertTrue(harness.wait_until(lambda: harness.process_state(client.pid) == "S"), "client is stopped")
                client.send_signal(signal.SIGUSR1)
                heard = [client.stdout.readline()]
                if heard == [b"SIGCONT\n"]:
                    heard.append(client.stdout.readline())
                self.assertEqual(b"SIGUSR1\n", heard[-1])

    def test_stop_and_continue(self):
        self.stop_and_continue(signal.SIGTSTP)

    def test_stopped_by_sigstop(self):
        """Nobody can relay it: the server sees that the client is stopped."""
        self.stop_and_continue(signal.SIGSTOP)

    def test_default_actions(self):
        """A signal that the command does not handle ends both, by that signal."""
        script = self.script("import time\nprint('up', flush=True)\ntime.sleep(20)")
        for name in ("TERM", "HUP", "USR1", "ALRM", "QUIT"):
            seen = []
            for argv in (self.bed.plain_argv([script]), self.bed.quick_argv([script]), self.bed.quick_argv([script])):
                process = subprocess.Popen(argv, env=self.bed.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
                process.stdout.readline()
                process.send_signal(getattr(signal, "SIG" + name))
                out, err = process.communicate(timeout=10)
                seen.append((process.returncode, out, err))
            with self.subTest(signal=name):
                self.assertEqual([(-getattr(signal, "SIG" + name), b"", b"")] * 3, seen)

    def test_keyboard_interrupt(self):
        """As plain: traceback, then death by SIGINT; and it can be caught."""
        for body in ("import time\nprint('up', flush=True)\ntime.sleep(20)",
                     "import time\nprint('up', flush=True)\ntry:\n    time.sleep(20)\n"
                     "except KeyboardInterrupt:\n    print('caught'); sys.exit(4)"):
            script = self.script(body)
            seen = []
            for argv in (self.bed.plain_argv([script]), self.bed.quick_argv([script]), self.bed.quick_argv([script])):
                process = subprocess.Popen(argv, env=self.bed.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                process.stdout.readline()
                time.sleep(0.1)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=10)
                seen.append((process.returncode, out, err))
            with self.subTest(body=body):
                self.assertEqual([seen[0]] * 2, seen[1:])

    def test_every_signal(self):
        """Real-time signals come with their values, and as often as they were sent."""
        script = self.bed.write("queue.py", QUEUE)
        numbers = [number for number in range(1, 65) if number not in NOT_RELAYED | {signal.SIGCONT}]
        for argv in self.three(script):
            process = self.up(argv)
            for number in numbers:
                os.kill(process.pid, number)
                self.assertEqual(f"{number} None\n".encode(), process.stdout.readline(), argv)
            for value in (1, -2, 3):
                ctypes.CDLL(None).sigqueue(process.pid, 40, ctypes.c_void_p(value & 0xFFFFFFFF))
            self.assertEqual([b"40 1\n", b"40 -2\n", b"40 3\n"], [process.stdout.readline() for _ in range(3)], argv)
            process.kill()

    def test_every_default_action(self):
        script = self.script("import time\nprint('up', flush=True)\ntime.sleep(20)")
        limits = lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        stops = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT}
        python = {signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ}  # not their default action in an interpreter
        for number in [number for number in range(1, 65) if number not in NOT_RELAYED | stops | python]:
            seen = []
            for argv in self.three(script)[::2]:
                process = self.up(argv, preexec_fn=limits)
                os.kill(process.pid, number)
                seen.append((process.wait(timeout=10), process.stdout.read(), process.stderr.read()))
            with self.subTest(signal=number):
                self.assertEqual([(-number, b"", b"")] * 2, seen)

    def test_one_core_at_most(self):
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            if file.read().strip() != "core":
                self.skipTest("cores do not go to the working directory")
        script = self.script("print('up', flush=True)\nimport time\ntime.sleep(20)")
        limits = lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for argv in self.three(script):
            process = self.up(argv, preexec_fn=limits)
            process.send_signal(signal.SIGQUIT)
            self.assertEqual(-signal.SIGQUIT, process.wait(timeout=20))
            cores = [name for name in os.listdir(self.bed.work) if name.startswith("core")]
            self.assertEqual(1, len(cores), argv)
            os.unlink(self.bed.path(cores[0]))

    def test_a_hung_server(self):
        """The first SIGTERM ends the command, of which nobody tells; the second one ends the client."""
        script = self.script("import time; print('up', flush=True); time.sleep(20)")
        process = self.up(self.bed.quick_argv([script]))
        server = self.bed.server_pid(script)
        os.kill(server, signal.SIGSTOP)
        try:
            process.terminate()
            time.sleep(0.5)
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(-signal.SIGTERM, process.wait(timeout=5))
        finally:
            os.kill(server, signal.SIGCONT)

    def test_a_second_sigterm_is_passed_on(self):
        script = self.script("import signal, time\nsignal.signal(15, lambda n, f: os.write(1, b'heard\\n'))\n"
                             "print('up', flush=True)\nwhile True: time.sleep(1)")
        process = self.up(self.bed.quick_argv([script]))
        for _ in range(3):
            process.terminate()
            self.assertEqual(b"heard\n", process.stdout.readline())

    # Deaths

    def test_killed_supervisor(self):
        """A command outlives it and still tells its client how it ended."""
        script = self.script("import time; print('up', flush=True); time.sleep(0.5); sys.exit(7)")
        process = self.bed.start([script])
        self.assertEqual(b"up\n", process.stdout.readline())
        os.kill(self.bed.server_pid(script), signal.SIGKILL)
        self.assertEqual((b"", b""), process.communicate(timeout=harness.TIMEOUT))
        self.assertEqual(7, process.returncode)

    def test_killed_client(self):
        """SIGKILL cannot be relayed; the command ends within a second all the same."""
        for warm, client, command in self.listening():
            with self.subTest(warm=warm):
                self.assertNotEqual(client.pid, command, "this was a plain run")
                client.kill()
                client.wait()
                self.assertTrue(harness.wait_until(lambda: not harness.process_state(command), 1.0),
                                "the command lives")

    def test_killed_command(self):
        for warm, client, command in self.listening():
            with self.subTest(warm=warm):
                os.kill(command, signal.SIGKILL)
                self.assertEqual(-signal.SIGKILL, client.wait(timeout=5))


if __name__ == "__main__":
    harness.main()
