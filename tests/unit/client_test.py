"""The client against a server that this test plays: a real socket where the
client looks for it, real descriptors, signals and exit statuses.

Usage: client_test.py CLIENT PRINT_TARGET [unittest arguments]
"""

import array
import concurrent.futures
import ctypes
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

CLIENT, PRINT_TARGET = (os.path.abspath(path) for path in sys.argv[1:3])

REQUEST = struct.Struct("=II16s10IQQQQqq44sI")
INHERITED = struct.Struct("=II")
REPLY = struct.Struct("=IiiI")
WARMING, RETRY, REFUSED, FAILED, STARTED, STOPPED, EXITED = range(1, 8)
FIELDS = ("magic protocol instance what name_length directory_length interpreter_length "
          "options_length argc argv_length envc environ_length terminal signal_mask device inode size mtime_s mtime_ns "
          "modes fork_point").split()


class Request:
    """A request as it was received, taken apart."""

    def __init__(self, head, body, fds):
        self.__dict__.update(zip(FIELDS, REQUEST.unpack(head)))
        self.fds = fds
        lengths = [self.name_length, self.directory_length, self.interpreter_length, self.options_length,
                   self.argv_length, self.environ_length]
        parts = []
        for length in lengths:
            parts.append(body[:length])
            body = body[length:]
        assert not body
        self.name, self.directory, self.interpreter, self.options, argv, environ = parts
        self.argv, self.environ = argv.split(b"\0")[:-1], environ.split(b"\0")[:-1]
        assert argv == b"".join(word + b"\0" for word in self.argv)
        assert len(self.argv) == self.argc and len(self.environ) == self.envc


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(10)

    def request(self, take=True):
        """`take`: the program's fds are taken from the deposit, as a server does just before it starts."""
        head, data, _, _ = self.sock.recvmsg(REQUEST.size, socket.CMSG_SPACE(16))
        assert len(head) == REQUEST.size and len(data) <= 1
        fds = array.array("i")
        for _, _, block in data:
            fds.frombytes(block)
        fields = dict(zip(FIELDS, REQUEST.unpack(head)))
        rest = sum(fields[name] for name in FIELDS if name.endswith("_length")) 
        body = bytearray()
        while len(body) < rest:
            piece, data, _, _ = self.sock.recvmsg(rest - len(body), socket.CMSG_SPACE(4 * 253))
            assert piece
            body += piece
            for _, _, block in data:
                fds.frombytes(block)
        [deposit] = fds
        if not take:
            return Request(head, bytes(body), [deposit])
        request = Request(head, bytes(body), [])
        with socket.socket(fileno=deposit) as queue:
            queue.settimeout(10)
            data, request.fds = self.withdraw(queue)
            request.streams, others = INHERITED.unpack(data)
            request.numbers = []
            while len(request.numbers) < others:
                data, fds = self.withdraw(queue)
                request.numbers += array.array("I", data)
                request.fds += fds
        return request

    @staticmethod
    def withdraw(queue):
        """One message of a deposit and its fds."""
        text, data, _, _ = queue.recvmsg(2000, socket.CMSG_SPACE(4 * 253))
        fds = array.array("i")
        for _, _, block in data:
            fds.frombytes(block)
        return text, list(fds)

    def reply(self, kind, value=0, pid=0, text=b""):
        if kind == STARTED:
            value = value or pid  # the process group, which it leads
        self.sock.sendall(REPLY.pack(kind, value, pid, len(text)) + text)

    def close(self):
        self.sock.close()


class Bed:
    """A runtime directory, a script, and perhaps a listening socket."""

    def __init__(self, *command, **variables):
        self.directory = tempfile.mkdtemp(prefix="quicken-client-")
        self.script = os.path.join(self.directory, "script.py")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write("#!/usr/bin/python3\nimport sys\nprint('plain', *sys.argv[1:])\n")
        self.command = list(command) or [self.script]
        self.environment = {"XDG_RUNTIME_DIR": self.directory, "QUICKEN_VERBOSE": "1", "PATH": "/usr/bin:/bin",
                            **variables}
        self.listener = None
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.listener:
            self.listener.close()
        self.let_go()
        shutil.rmtree(self.directory)

    def path(self):
        output = subprocess.run([PRINT_TARGET, *self.command], env=self.environment, check=True,
                                stdout=subprocess.PIPE).stdout
        return output.split(b"\n")[0].decode()

    def listen(self, backlog=20):
        path = self.path()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(backlog)
        self.listener.settimeout(15)
        return self

    def accept(self):
        return Connection(self.listener.accept()[0])

    def start(self, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "env": self.environment, **options}
        executable = options.pop("executable", CLIENT)
        return subprocess.Popen(["quicken", *self.command, *arguments], executable=executable, **options)

    def serve(self, client_arguments=(), **options):
        """A client whose request has been read."""
        client = self.start(*client_arguments, **options)
        connection = self.accept()
        request = connection.request()
        self.fds += request.fds
        return client, connection, request

    def let_go(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def finish(self, client):
        """Its exit status and output. What it was passed on is closed: the
        test must not hold the pipes that it reads."""
        self.let_go()
        try:
            out, err = client.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            client.kill()
            raise
        return client.returncode, out, err


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class RequestTest(unittest.TestCase):
    def test_inherited_fds(self):
        """Those above 2 at their own numbers, 300 of them; none where there are none."""
        with Bed() as bed:
            pipe = os.pipe()
            numbers = [205, 263, *range(300, 600)]
            for number in numbers:
                os.dup2(pipe[0], number)
            client, connection, request = bed.listen().serve(pass_fds=numbers)
            for number in numbers:
                os.close(number)
            self.assertEqual((request.numbers, len(request.fds)), (numbers, 3 + len(numbers)))
            self.assertEqual({os.fstat(fd).st_ino for fd in request.fds[3:]}, {os.fstat(pipe[0]).st_ino})
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED)
            self.assertEqual(bed.finish(client)[0], 0)
            for fd in pipe:
                os.close(fd)

    def test_what_is_not_taken_is_withdrawn(self):
        """A server that reads the request and hangs holds none of the program's files: stdout ends."""
        with Bed() as bed:
            client = bed.listen().start("x")
            connection = bed.accept()
            request = connection.request(take=False)
            out, err = client.communicate(timeout=15)
            self.assertEqual((client.returncode, out), (0, b"plain x\n"))
            bed.fds += request.fds
            connection.close()

    def test_request_says_what_is_to_run(self):
        """Every field, and argument bytes that are no text."""
        with Bed() as bed:
            client, connection, request = bed.listen().serve(["a b", "", b"\xff\n"])
            status = os.stat(bed.script)
            self.assertEqual((request.magic, request.protocol, request.what, request.streams, request.numbers),
                             (0x314B4351, 5, 1, 7, []))
            self.assertEqual(request.instance.hex(), os.path.basename(bed.path())[:32])
            self.assertEqual(request.fork_point, 0)
            self.assertEqual((request.name, request.directory, request.interpreter, request.options),
                             (bed.script.encode(), b"", b"/usr/bin/python3", b""))
            self.assertEqual(request.argv, [bed.script.encode(), b"a b", b"", b"\xff\n"])
            self.assertEqual(sorted(request.environ),
                             sorted(f"{name}={value}".encode() for name, value in bed.environment.items()))
            self.assertEqual((request.device, request.inode, request.size, request.mtime_s * 10**9 + request.mtime_ns),
                             (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED, 7 << 8)
            self.assertEqual(bed.finish(client), (7, b"", b"quicken: warm run\n"))

    def test_manner(self):
        """How it is run is part of the request, and of the instance."""
        manner = ["--python", "/usr/bin/python3", "--python-option=-W", "--python-option=error", "--fork-point", "start"]
        with Bed() as bed:
            bed.command = ["run", *manner, "--file", bed.script]
            client, connection, request = bed.listen().serve()
            self.assertEqual((request.options, request.fork_point), (b"-W\0error\0", 1))
            connection.reply(REFUSED)
            self.assertEqual(bed.finish(client)[:2], (0, b"plain\n"))

    def test_mark(self):
        """That a program has handed itself over is known to its plain run alone."""
        with Bed(QUICKEN_HANDED_OVER="1") as bed:
            with open(bed.script, "w", encoding="utf-8") as file:
                file.write("#!/usr/bin/python3\nimport os\nprint(os.environ['QUICKEN_HANDED_OVER'])\n")
            client, connection, request = bed.listen().serve()
            self.assertNotIn(b"QUICKEN_HANDED_OVER=1", request.environ)
            self.assertEqual(len(request.environ), len(bed.environment) - 1)
            connection.reply(REFUSED)
            self.assertEqual(bed.finish(client)[:2], (0, b"1\n"))

    def test_module_and_entry(self):
        for command, expected in ((("run", "--python", "/usr/bin/python3", "-m", "json.tool"),
                                   (2, b"json.tool", os.getcwd().encode(), [b"json.tool", b"--", b"x"])),
                                  (("run", "--entry", "json.tool:main"), (3, b"json.tool:main", b"",
                                                                         [b"json.tool:main", b"--", b"x"]))):
            with Bed(*command) as bed:
                client, connection, request = bed.listen().serve(["--", "--", "x"])
                self.assertEqual((request.what, request.name, request.directory, request.argv), expected)
                self.assertEqual((request.device, request.inode), (0, 0))
                connection.reply(STARTED, pid=2**22 + 1)
                connection.reply(EXITED, 0)
                self.assertEqual(bed.finish(client)[0], 0)

    def test_launcher(self):
        """Its original is what is asked for, by its own path, and what is executed where nobody serves it."""
        with Bed() as bed:
            os.chmod(bed.script, 0o755)
            bed.command = [f"--launch={bed.script}", "./launcher"]
            client, connection, request = bed.listen().serve(["--", "x"])
            self.assertEqual((request.what, request.name, request.interpreter, request.argv, request.terminal & 32),
                             (1, bed.script.encode(), b"/usr/bin/python3", [bed.script.encode(), b"--", b"x"], 32))
            connection.reply(REFUSED, text=b"full")
            self.assertEqual(bed.finish(client), (0, b"plain -- x\n", b"quicken: plain run: full\n"))

    def test_descriptors_are_the_clients_own(self):
        """What is written to the passed fds comes out of the client's."""
        with Bed() as bed:
            client, connection, request = bed.listen().serve(stdin=subprocess.PIPE)
            self.assertEqual(len(request.fds), 3)
            client.stdin.write(b"in")
            client.stdin.close()
            client.stdin = None
            self.assertEqual(os.read(request.fds[0], 10), b"in")
            os.write(request.fds[1], b"out")
            os.write(request.fds[2], b"err\n")
            connection.reply(STARTED, pid=2**22 + 1)
            wait_until(lambda: not os.path.exists(f"/proc/{client.pid}/fd/1"))
            # The client has let go of its output: the command alone holds it.
            bed.let_go()
            self.assertEqual(client.stdout.read(), b"out")
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client), (0, b"", b"err\nquicken: warm run\n"))

    def test_closed_streams_stay_closed(self):
        """The client's own sockets would take those numbers."""
        for closed in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)):
            with Bed() as bed:
                bed.listen()
                client = bed.start(preexec_fn=lambda: [os.close(fd) for fd in closed])
                connection = bed.accept()
                request = connection.request()
                bed.fds += request.fds
                self.assertEqual(request.streams, 7 & ~sum(1 << fd for fd in closed))
                self.assertEqual(len(request.fds), 3 - len(closed))
                for fd in request.fds:
                    self.assertNotIn("socket:", os.readlink(f"/proc/self/fd/{fd}"))
                connection.reply(STARTED, pid=2**22 + 1)
                connection.reply(EXITED, 0)
                self.assertEqual(bed.finish(client)[0], 0)

    def test_large_environment(self):
        """2 MB do not fit into a socket's buffer: the rest follows as it is read."""
        def stack():
            resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
        large = {f"V{i}": chr(ord("a") + i % 26) * 100_000 for i in range(20)}
        with Bed(**large) as bed:
            client, connection, request = bed.listen().serve(["x" * 100_000], preexec_fn=stack)
            self.assertEqual(request.argv[1], b"x" * 100_000)
            self.assertEqual(sorted(request.environ),
                             sorted(f"{name}={value}".encode() for name, value in bed.environment.items()))
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client)[0], 0)

    def test_empty_environment(self):
        with Bed() as bed:
            bed.environment = {}
            path = bed.path()
            if os.path.exists(os.path.dirname(path)):
                self.skipTest("the user has servers")
            self.addCleanup(shutil.rmtree, os.path.dirname(path))
            client, connection, request = bed.listen().serve()
            self.assertEqual((request.envc, request.environ_length), (0, 0))
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client), (0, b"", b""))


class AnswerTest(unittest.TestCase):
    def test_refused_runs_plainly(self):
        with Bed() as bed:
            client, connection, _ = bed.listen().serve(["x"])
            connection.reply(REFUSED, text=b"too confined")
            self.assertEqual(bed.finish(client), (0, b"plain x\n", b"quicken: plain run: too confined\n"))

    def test_refused_before_the_request_is_read(self):
        with Bed(BIG="x" * 120_000, BIG2="y" * 120_000, BIG3="z" * 120_000) as bed:
            bed.listen()
            client = bed.start("x")
            connection = bed.accept()
            connection.reply(REFUSED, text=b"full")
            connection.close()
            self.assertEqual(bed.finish(client), (0, b"plain x\n", b"quicken: plain run: full\n"))

    def test_failed_does_not_run(self):
        with Bed() as bed:
            client, connection, _ = bed.listen().serve()
            connection.reply(FAILED, 3, text=b"it is broken")
            self.assertEqual(bed.finish(client), (3, b"", b"it is broken\n"))

    def test_warming_is_a_cold_run(self):
        """Replies may arrive in pieces, and several at once."""
        with Bed() as bed:
            client, connection, _ = bed.listen().serve()
            connection.reply(WARMING)
            stream = REPLY.pack(STARTED, 2**22 + 1, 2**22 + 1, 0) + REPLY.pack(EXITED, 9 << 8, 0, 0)
            for piece in (stream[:3], stream[3:20], stream[20:]):
                connection.sock.sendall(piece)
                time.sleep(0.02)
            self.assertEqual(bed.finish(client), (9, b"", b"quicken: cold run\n"))

    def test_warming_lengthens_the_wait(self):
        with Bed() as bed:
            client, connection, _ = bed.listen().serve()
            connection.reply(WARMING)
            time.sleep(6)
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client), (0, b"", b"quicken: cold run\n"))

    def test_retry_is_limited(self):
        for last in ("reply", "close"):
            with Bed() as bed:
                client = bed.listen().start("x")
                for _ in range(6):
                    connection = bed.accept()
                    bed.fds += connection.request(take=False).fds
                    if last == "reply":
                        connection.reply(RETRY)
                    connection.close()
                code, out, err = bed.finish(client)
                self.assertEqual((code, out), (0, b"plain x\n"))
                self.assertIn(b"again and again", err)

    def test_retry_succeeds(self):
        with Bed() as bed:
            client = bed.listen().start("x")
            connection = bed.accept()
            first = connection.request(take=False)
            connection.reply(RETRY)
            connection.close()
            connection = bed.accept()
            second = connection.request()
            bed.fds += first.fds + second.fds
            self.assertEqual((first.argv, first.environ, 3), (second.argv, second.environ, len(second.fds)))
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED, 4 << 8)
            self.assertEqual(bed.finish(client)[0], 4)

    def test_malformed_replies(self):
        for stream in (REPLY.pack(REFUSED, 0, 0, 4097), REPLY.pack(99, 0, 0, 0), REPLY.pack(EXITED, 0, 0, 0)):
            with Bed() as bed:
                client, connection, _ = bed.listen().serve(["x"])
                connection.sock.sendall(stream)
                self.assertEqual(bed.finish(client),
                                 (0, b"plain x\n", b"quicken: plain run: the server's reply is malformed\n"))

    def test_silent_server(self):
        """One that accepts and says nothing, and one that does not accept."""
        with Bed() as bed:
            client, connection, _ = bed.listen().serve(["x"])
            self.assertEqual(bed.finish(client),
                             (0, b"plain x\n", b"quicken: plain run: the server does not answer\n"))
        with Bed() as bed:
            bed.listen(backlog=0)
            fillers = []
            while True:
                filler = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                fillers.append(filler)
                filler.setblocking(False)
                if filler.connect_ex(bed.path()) != 0:
                    break
            self.assertEqual(bed.finish(bed.start("x")),
                             (0, b"plain x\n", b"quicken: plain run: the server takes no connections\n"))
            for filler in fillers:
                filler.close()

    def test_runs_once_however_late_the_answer(self):
        """Around the moment in which the client gives up, either the server's
        `started` fails and the client runs the program, or it does not fail
        and the client does not."""
        def race(delay):
            with Bed() as bed:
                client, connection, _ = bed.listen().serve(["x"])
                time.sleep(delay)
                try:
                    connection.reply(STARTED, pid=2**22 + 1)
                    sent = True
                except BrokenPipeError:
                    sent = False
                if sent:
                    try:
                        connection.reply(EXITED, 0)
                    except BrokenPipeError:
                        pass
                _, out, err = bed.finish(client)
                return sent, out == b"plain x\n", err

        delays = [4.97 + i * 0.0015 for i in range(40)]
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            for sent, plain, err in pool.map(race, delays):
                self.assertNotEqual(sent, plain, err)


class RelayTest(unittest.TestCase):
    """The command is a real process in a process group of its own."""

    def command(self, *words):
        command = subprocess.Popen(words, preexec_fn=os.setpgrp, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (command.kill(), command.wait(), command.stdout.close()))
        return command

    def started(self, bed, command, **options):
        client, connection, _ = bed.listen().serve(**options)
        connection.reply(STARTED, pid=command.pid)
        wait_until(lambda: not os.path.exists(f"/proc/{client.pid}/fd/1"))
        return client, connection

    def test_report_before_the_end_of_the_connection(self):
        """Both are there when the client looks: the report counts, as it was queued first."""
        with Bed() as bed:
            client, connection, _ = bed.listen().serve()
            client.send_signal(signal.SIGSTOP)
            wait_until(lambda: state(client.pid) == "T")
            connection.reply(STARTED, pid=os.getpid())
            ctypes.CDLL(None).sigqueue(client.pid, 63, ctypes.c_void_p(5 << 8))
            connection.close()
            client.send_signal(signal.SIGCONT)
            self.assertEqual(bed.finish(client), (5, b"", b"quicken: warm run\n"))

    def test_signals_reach_the_command(self):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
                       signal.SIGALRM):
            with Bed() as bed:
                command = self.command("sleep", "20")
                client, connection = self.started(bed, command)
                os.kill(client.pid, number)
                self.assertEqual(command.wait(10), -number)
                connection.reply(EXITED, number)
                self.assertEqual(bed.finish(client)[0], -number)

    def test_exit_by_signal_leaves_no_core(self):
        with tempfile.TemporaryDirectory() as directory:
            def unlimited():
                resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
            for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGPIPE):
                with Bed() as bed:
                    client, connection, _ = bed.listen().serve(preexec_fn=unlimited, cwd=directory)
                    connection.reply(STARTED, pid=2**22 + 1)
                    connection.reply(EXITED, number | 0x80)
                    self.assertEqual(bed.finish(client)[0], -number)
                    self.assertEqual(os.listdir(directory), [])

    def test_ignored_signal_is_dropped(self):
        with Bed() as bed:
            command = self.command("sleep", "20")
            client, connection = self.started(bed, command,
                                              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
            os.kill(client.pid, signal.SIGHUP)
            time.sleep(0.1)
            self.assertIsNone(command.poll())
            os.kill(client.pid, signal.SIGTERM)
            self.assertEqual(command.wait(10), -signal.SIGTERM)
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client)[0], 0)

    def test_blocked_signal_is_not_passed_on(self):
        with Bed() as bed:
            command = self.command("sleep", "20")
            client, connection = self.started(
                bed, command, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]))
            os.kill(client.pid, signal.SIGUSR1)
            time.sleep(0.1)
            self.assertIsNone(command.poll())
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client)[0], 0)

    def test_stop_and_continue(self):
        with Bed() as bed:
            command = self.command("sleep", "20")
            client, connection = self.started(bed, command)
            for _ in range(3):
                os.kill(command.pid, signal.SIGSTOP)
                connection.reply(STOPPED, signal.SIGSTOP)
                wait_until(lambda: state(client.pid) == "T" and state(command.pid) == "T")
                os.kill(client.pid, signal.SIGCONT)
                wait_until(lambda: state(client.pid) != "T" and state(command.pid) != "T")
            connection.reply(EXITED, 5 << 8)
            self.assertEqual(bed.finish(client)[0], 5)

    def test_terminal_signal_reaches_the_group(self):
        """^C on a terminal: the command's children get it as well."""
        import pty
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)

        def control():
            import fcntl
            import termios
            os.setsid()
            fcntl.ioctl(follower, termios.TIOCSCTTY, 0)

        with Bed() as bed:
            # The pipe ends when the last process of the group is gone.
            command = self.command("/bin/sh", "-c", "sleep 20; echo end")
            client, connection = self.started(bed, command, preexec_fn=control)
            os.close(follower)
            os.write(leader, b"\x03")
            self.assertEqual(command.wait(10), -signal.SIGINT)
            self.assertEqual(command.stdout.read(), b"")
            connection.reply(EXITED, signal.SIGINT)
            self.assertEqual(bed.finish(client)[0], -signal.SIGINT)

    def test_signal_before_the_start_ends_the_client(self):
        with Bed() as bed:
            client, connection, _ = bed.listen().serve()
            os.kill(client.pid, signal.SIGTERM)
            self.assertEqual(bed.finish(client)[0], -signal.SIGTERM)

    def test_signal_between_request_and_start_is_not_lost(self):
        """It arrives together with `started`, while the client is stopped."""
        with Bed() as bed:
            command = self.command("sleep", "20")
            client, connection, _ = bed.listen().serve()
            os.kill(client.pid, signal.SIGSTOP)
            wait_until(lambda: state(client.pid) == "T")
            connection.reply(STARTED, pid=command.pid)
            os.kill(client.pid, signal.SIGTERM)
            os.kill(client.pid, signal.SIGCONT)
            deadline = time.monotonic() + 5
            while client.poll() is None and command.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            # Whichever came first: the client died of it, or the command did.
            self.assertTrue(client.poll() == -signal.SIGTERM or command.poll() == -signal.SIGTERM)
            connection.close()
            bed.finish(client)

    def test_lost_server(self):
        with Bed() as bed:
            client, connection, _ = bed.listen().serve()
            connection.reply(STARTED, pid=2**22 + 1)
            connection.close()
            code, _, err = bed.finish(client)
            self.assertEqual(code, 1)
            self.assertTrue(err.endswith(b"its exit status is lost\n"), err)


class FallbackTest(unittest.TestCase):
    def check(self, bed, reason, **options):
        code, out, err = bed.finish(bed.start("x", **options))
        self.assertEqual((code, out), (0, b"plain x\n"))
        self.assertEqual(err, f"quicken: plain run: {reason}\n".encode())

    def installation(self, bed):
        """A copy of the client, with room for programs beside it."""
        for name in ("bin", "libexec/quicken"):
            os.makedirs(os.path.join(bed.directory, name))
        client = os.path.join(bed.directory, "bin/quicken")
        shutil.copy(CLIENT, client)
        return client

    def helper(self, bed, name, text):
        path = os.path.join(bed.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def test_no_activator(self):
        with Bed() as bed:
            self.check(bed, "quicken-activate cannot be executed", executable=self.installation(bed))

    def test_activator_gets_the_command_line(self):
        """Also where a socket is left that nobody listens at."""
        for stale in (False, True):
            with Bed() as bed:
                client = self.installation(bed)
                self.helper(bed, "libexec/quicken/quicken-activate",
                            "#!/usr/bin/python3 -S\nimport os, sys, signal\n"
                            "print(sys.argv[1:], os.environ['QUICKEN_VERBOSE'], sorted(os.listdir('/proc/self/fd'))[:4],"
                            " sorted(signal.pthread_sigmask(0, [])))\n")
                if stale:
                    bed.listen().listener.close()
                code, out, err = bed.finish(bed.start("a", "", executable=client))
                self.assertEqual((code, err), (0, b""))
                self.assertEqual(out.decode(), f"{[bed.script, 'a', '']} 1 ['0', '1', '2', '3'] []\n")

    def test_activated_client(self):
        with Bed() as bed:
            words = ["/x/quicken-activated", *bed.command, "x"]
            done = subprocess.run(words, executable=CLIENT, env=bed.environment, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=True)
            self.assertEqual((done.stdout, done.stderr),
                             (b"plain x\n", b"quicken: plain run: the server that was started cannot be reached\n"))
            bed.listen()
            client = subprocess.Popen(words, executable=CLIENT, env=bed.environment, stderr=subprocess.PIPE)
            connection = bed.accept()
            bed.fds += connection.request().fds
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client), (0, None, b"quicken: cold run\n"))

    def test_settings(self):
        with Bed(QUICKEN_DISABLE="1") as bed:
            self.check(bed, "QUICKEN_DISABLE is set")
        with Bed(QUICKEN_DISABLE="0", QUICKEN_VERBOSE="0") as bed:
            client, connection, _ = bed.listen().serve()
            connection.reply(STARTED, pid=2**22 + 1)
            connection.reply(EXITED, 0)
            self.assertEqual(bed.finish(client), (0, b"", b""))
        with Bed(XDG_RUNTIME_DIR="relative") as bed:
            self.check(bed, "XDG_RUNTIME_DIR is not absolute or too long for a socket")
        with Bed(XDG_RUNTIME_DIR="/" + "x" * 100) as bed:
            self.check(bed, "XDG_RUNTIME_DIR is not absolute or too long for a socket")

    @unittest.skipUnless(os.geteuid() == 0, "needs another user")
    def test_socket_of_another_user(self):
        with Bed() as bed:
            path = bed.path()
            os.makedirs(os.path.dirname(path))
            os.chmod(bed.directory, 0o777)
            os.chmod(os.path.dirname(path), 0o777)
            ready, tell = os.pipe()
            server = os.fork()
            if server == 0:
                os.setuid(65534)
                listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                listener.bind(path)
                listener.listen()
                os.write(tell, b"x")
                signal.pause()
            os.read(ready, 1)
            try:
                self.check(bed, "the server's socket is another user's")
            finally:
                os.kill(server, signal.SIGKILL)
                os.waitpid(server, 0)

    def test_plain_entry(self):
        """The code of an entry runs as an installed console script does: not
        from the working directory, with the entry as sys.argv[0]."""
        with Bed("run", "--python", "/usr/bin/python3", "--entry", "package:main.run") as bed:
            os.makedirs(os.path.join(bed.directory, "site"))
            self.helper(bed, "site/package.py",
                        "import sys\nclass main:\n  @staticmethod\n  def run():\n"
                        "    print(sys.argv, '' in sys.path)\n    return 5\n")
            self.helper(bed, "package.py", "raise SystemExit('the wrong one')\n")
            bed.environment.update(QUICKEN_DISABLE="1", PYTHONPATH=os.path.join(bed.directory, "site"))
            code, out, _ = bed.finish(bed.start("x", cwd=bed.directory))
            self.assertEqual((code, out), (5, b"['package:main.run', 'x'] False\n"))

    def test_no_interpreter(self):
        with Bed() as bed:
            self.helper(bed, "denied", "")
            os.chmod(os.path.join(bed.directory, "denied"), 0o644)
            for python, code, text in (("python9", 127, "python9: No such file or directory"),
                                       ("/nonexistent/python", 127, "/nonexistent/python: No such file or directory"),
                                       (bed.directory + "/denied", 126, bed.directory + "/denied: Permission denied")):
                done = subprocess.run(["quicken", "run", "--python", python, "--file", bed.script], executable=CLIENT,
                                      env={**bed.environment, "QUICKEN_VERBOSE": "", "QUICKEN_DISABLE": "1"},
                                      stderr=subprocess.PIPE)
                self.assertEqual((done.returncode, done.stderr), (code, f"quicken: {text}\n".encode()))

    def test_usage_and_tool(self):
        done = subprocess.run(["quicken", "--wrong"], executable=CLIENT, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr[:9]), (2, b"quicken: "))
        with Bed() as bed:
            client = self.installation(bed)
            done = subprocess.run(["x", "status", "a"], executable=client, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stderr), (127, b"quicken: quickenctl: No such file or directory\n"))
            self.helper(bed, "bin/quickenctl", "#!/bin/sh\necho \"$@\"\n")
            done = subprocess.run(["x", "status", "a"], executable=client, stdout=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout), (0, b"status a\n"))
            done = subprocess.run(["x", "serve", "a"], executable=client, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stderr), (127, b"quicken: quicken-serve: No such file or directory\n"))
            self.helper(bed, "libexec/quicken/quicken-serve", "#!/bin/sh\necho \"$@\"\n")
            done = subprocess.run(["x", "serve", "a"], executable=client, stdout=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout), (0, b"serve a\n"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
