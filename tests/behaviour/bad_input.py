"""What is wrong ends as it would plainly, or with a word why; nothing hangs and the next run works."""

import array
import contextlib
import os
import signal
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

GOOD = "import os\nif __name__ == '__main__':\n    print('good')\n"

# src/common/wire.hpp: Request (160 bytes), then the body; Inherited.
REQUEST = struct.Struct("=II16s10I4Q2q44sI")
INHERITED = struct.Struct("=II")
FIELDS = ("magic", "protocol", "instance", "what", "name_length", "directory_length",
          "interpreter_length", "options_length", "argc", "argv_length", "envc", "environ_length", "terminal",
          "signal_mask", "device", "inode", "size", "mtime_seconds", "mtime_nanoseconds", "modes", "fork_point")
REPLY = struct.Struct("=IiiI")
RETRY, STARTED = 2, 5
REPORT_SIGNAL, SI_QUEUE = 63, -1
assert REQUEST.size == 160 and REPLY.size == 16


@harness.each_activation
class BadInput:
    def good(self):
        """Written once: an edit would be a new program."""
        path = self.bed.path("good.py")
        return path if os.path.exists(path) else self.bed.write("good.py", GOOD)

    def assert_good_works(self):
        self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([self.good()]))

    def same_as_plain(self, argv, **options):
        """Thrice: an error must not be remembered, nor spoil the server."""
        expected = self.bed.plain(argv, **options)
        for _ in range(3):
            self.assertEqual(expected, self.bed.quick(argv, **options))
        self.assert_good_works()
        return expected

    # Scripts

    def test_no_such_script(self):
        self.assertEqual(2, self.same_as_plain([self.bed.path("nothing.py")]).status)

    @unittest.skipIf(os.geteuid() == 0, "root can read everything")
    def test_unreadable_script(self):
        self.assertEqual(2, self.same_as_plain([self.bed.write("secret.py", GOOD, 0)]).status)

    def test_directory(self):
        os.mkdir(self.bed.path("directory"))
        expected = self.bed.run([harness.PYTHON, self.bed.path("directory")])
        self.assertEqual(1, expected.status)
        self.assertEqual(expected, self.bed.quick([self.bed.path("directory")]))

    def test_directory_with_a_main(self):
        os.mkdir(self.bed.path("directory"))
        self.bed.write("directory/__main__.py", GOOD)
        expected = self.bed.run([harness.PYTHON, self.bed.path("directory")])
        self.assertEqual(b"good\n", expected.stdout)
        for _ in range(2):
            self.assertEqual(expected, self.bed.quick([self.bed.path("directory")]))

    def test_fifo(self):
        """Is not opened by anybody but the interpreter."""
        path = self.bed.path("fifo")
        os.mkfifo(path)
        client = self.bed.start([path])
        with open(path, "w") as fifo:
            fifo.write(GOOD)
        self.assertEqual(b"good\n", client.communicate(timeout=10)[0])

    def test_syntax_error(self):
        for text in (b"def (\n", b"if True:\nx\n", "print('é'\n".encode(), b"  indented = 1\n", b"return 1\n"):
            with self.subTest(text=text):
                self.assertEqual(1, self.same_as_plain([self.bed.write("bad.py", text)]).status)

    def test_encodings(self):
        for text in (b"\xff = 1\n", b"# coding: latin-1\nprint(ascii('\xe9'))\n", b"# coding: nonsense\n",
                     b"\xef\xbb\xbfprint(1)\n", b"x = 1\0\n"):
            with self.subTest(text=text):
                self.same_as_plain([self.bed.write("encoded.py", text)])

    def test_empty_script(self):
        self.assertEqual(harness.Result(0, b"", b""), self.same_as_plain([self.bed.write("empty.py", "")]))

    def test_exception_in_the_prelude(self):
        self.assertEqual(1, self.same_as_plain([self.bed.write("bad.py", "print('so far')\n1 / 0\n" + GOOD)]).status)

    def test_import_that_fails(self):
        self.same_as_plain([self.bed.write("bad.py", "import no_such_module_at_all\n" + GOOD)])

    def test_exit_in_the_prelude(self):
        for call in ("sys.exit(3)", "sys.exit('words')", "sys.exit()", "os._exit(4)", "raise KeyboardInterrupt"):
            with self.subTest(call=call):
                self.same_as_plain([self.bed.write("bad.py", f"import os, sys\nprint('so far', flush=True)\n{call}\n" +
                                                   GOOD)])

    def test_prelude_that_dies(self):
        path = self.bed.write("bad.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n" + GOOD)
        self.assertEqual(-signal.SIGKILL, self.same_as_plain([path]).status)

    def test_prelude_that_reads_its_arguments_and_input(self):
        path = self.bed.write("reads.py", "import sys\nline = sys.stdin.readline()\nargument = sys.argv[1]\n"
                                          "if __name__ == '__main__':\n    print(line, argument, sys.stdin.read())\n")
        for argument in ("one", "two"):
            for text in (b"1\n2\n", b"3\n"):
                with self.subTest(argument=argument, text=text):
                    self.assertEqual(self.bed.plain([path, argument], stdin=text),
                                     self.bed.quick([path, argument], stdin=text))

    def test_prelude_that_prints(self):
        path = self.bed.write("prints.py", "import sys\nprint('early')\nsys.stderr.write('early too\\n')\n" + GOOD)
        self.same_as_plain([path])

    def test_prelude_with_a_thread(self):
        path = self.bed.write("thread.py", "import threading, queue\nq = queue.Queue()\n"
                              "def work():\n    while True:\n        q.get(); print('worked', flush=True); q.task_done()\n"
                              "threading.Thread(target=work, daemon=True).start()\n"
                              "if __name__ == '__main__':\n    q.put(1)\n    q.join()\n")
        self.assertEqual(b"worked\n", self.same_as_plain([path]).stdout)

    # Command lines

    def test_usage(self):
        for arguments in (["run"], ["run", "--file"], ["run", "--nothing", "x"], ["run", "--entry", "no-colon"]):
            with self.subTest(arguments=arguments):
                result = self.bed.run([harness.QUICKEN, *arguments])
                self.assertNotEqual(0, result.status)
                self.assertIn(b"quicken", result.stderr)
                self.assertEqual([], self.bed.leftovers())

    def test_interpreter_that_does_not_exist(self):
        result = self.bed.quick([self.good()], python=self.bed.path("no-python"))
        self.assertEqual(127, result.status)
        self.assertIn(b"no-python", result.stderr)
        self.assert_good_works()

    def test_interpreter_of_the_first_line_does_not_exist(self):
        path = self.bed.write("script", "#!/nonexistent/python3\n" + GOOD, 0o755)
        self.assertNotEqual(0, self.bed.quick([path]).status)
        self.assert_good_works()

    def test_interpreter_that_is_not_python(self):
        """/bin/ls lists the script, a shell script gets it as its argument: as plainly."""
        shell = self.bed.write("python-like", "#!/bin/sh\necho shell \"$1\"\nexit 6\n", 0o755)
        for interpreter, expected in (("/bin/ls", 0), (shell, 6), ("/bin/false", 1)):
            with self.subTest(interpreter=interpreter):
                plain = self.bed.run([interpreter, self.good()])
                self.assertEqual(expected, plain.status)
                for _ in range(2):
                    self.assertEqual(plain, self.bed.quick([self.good()], python=interpreter))
        self.assert_good_works()

    def test_interpreter_behind_a_shell_script(self):
        """As pyenv's shims are."""
        shim = self.bed.write("python-shim", f"#!/bin/sh\nexec {harness.PYTHON} \"$@\"\n", 0o755)
        for _ in range(3):
            self.assertEqual(b"good\n", self.bed.quick([self.good()], python=shim).stdout)

    # Settings and directories

    def test_disabled(self):
        result = self.bed.quick([self.good()], env={"QUICKEN_DISABLE": "1"})
        self.assertEqual(harness.Result(0, b"good\n", b""), result)
        self.assertEqual([], self.bed.leftovers())

    def test_no_activation(self):
        result = self.bed.quick([self.good()], env={"QUICKEN_ACTIVATION": "none"})
        self.assertEqual(harness.Result(0, b"good\n", b""), result)
        self.assertEqual([], self.bed.leftovers())

    def test_log_file_that_cannot_be_opened(self):
        env = {"QUICKEN_LOG_FILE": "/nonexistent/directory/log"}
        result = self.bed.quick([self.good()], env=env)
        self.assertEqual(1, result.status)
        self.assertIn(b"/nonexistent/directory/log", result.stderr)
        self.assertEqual(b"", result.stdout)
        self.bed.stop()
        self.assert_good_works()

    def test_log_file(self):
        path = self.bed.path("log")
        self.assertEqual(b"good\n", self.bed.quick([self.good()], env={"QUICKEN_LOG_FILE": path}).stdout)
        self.assertTrue(os.path.getsize(path))

    def test_no_runtime_directory(self):
        fallback = f"/tmp/quicken-{os.getuid()}"
        existed = os.path.exists(fallback)
        env = {"XDG_RUNTIME_DIR": None, "DBUS_SESSION_BUS_ADDRESS": None}
        try:
            for _ in range(2):
                self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([self.good()], env=env))
        finally:
            self.bed.ctl("stop", "--file", self.good(), env=env)
            if not existed and os.path.isdir(fallback) and not os.listdir(fallback):
                os.rmdir(fallback)

    def test_runtime_directory_that_cannot_be_trusted(self):
        wide = self.bed.path("wide")
        os.mkdir(wide)
        os.chmod(wide, 0o777)
        inner = self.bed.path("inner")
        os.mkdir(inner, 0o700)
        os.mkdir(inner + "/quicken")
        os.chmod(inner + "/quicken", 0o755)
        link = self.bed.path("link")
        os.mkdir(link, 0o700)
        os.symlink("/tmp", link + "/quicken")
        for directory in (wide, inner, link, "/etc" if os.geteuid() else "/nonexistent", self.good(), "relative",
                          self.bed.path("missing"), self.bed.path("long" + "x" * 120)):
            with self.subTest(directory=directory):
                env = {"XDG_RUNTIME_DIR": directory, "DBUS_SESSION_BUS_ADDRESS": None, "QUICKEN_ACTIVATION": "self"}
                self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([self.good()], env=env))
                told = self.bed.quick([self.good()], env=dict(env, QUICKEN_VERBOSE="1"))
                self.assertIn(b"plain run", told.stderr)

    def test_socket_path_that_is_too_long(self):
        directory = self.bed.path("d" * 90)
        os.mkdir(directory, 0o700)
        env = {"XDG_RUNTIME_DIR": directory, "DBUS_SESSION_BUS_ADDRESS": None, "QUICKEN_ACTIVATION": "self"}
        self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([self.good()], env=env))

    # The socket

    def socket_path(self):
        self.assertEqual(b"good\n", self.bed.quick([self.good()]).stdout)
        names = [name for name in os.listdir(self.bed.sockets) if name.endswith(".sock")]
        self.assertEqual(1, len(names), names)
        return os.path.join(self.bed.sockets, names[0])

    def request(self, path, **changes):
        """A valid request for good.py, apart from `changes`, and its body."""
        status = os.stat(self.good())
        name, interpreter = self.good().encode(), harness.PYTHON.encode()
        argv = name + b"\0"
        environ = b"".join(f"{k}={v}\0".encode() for k, v in self.bed.environment.items())
        values = dict.fromkeys(FIELDS, 0)
        values.update(magic=0x314B4351, protocol=5, instance=bytes.fromhex(os.path.basename(path)[:32]), what=1,
                      name_length=len(name), interpreter_length=len(interpreter),
                      argc=1, argv_length=len(argv), envc=len(self.bed.environment), environ_length=len(environ),
                      device=status.st_dev, inode=status.st_ino, size=status.st_size,
                      mtime_seconds=status.st_mtime_ns // 10**9, mtime_nanoseconds=status.st_mtime_ns % 10**9,
                      modes=b"")
        values.update(changes)
        return REQUEST.pack(*(values[field] for field in FIELDS)) + name + interpreter + argv + environ

    def send(self, path, data, fds=None, close=False, deposit=INHERITED.pack(7, 0)):
        """Sends `data`, returns all that comes back until the server closes (or 5 s)."""
        pipe_read, pipe_write = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.sendmsg([deposit], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null, pipe_write, null]))])
        passed = [theirs.fileno()] if fds is None else [null] * fds
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(path)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", passed))] if passed else []
            try:
                peer.sendmsg([data[:100000]], rights)
                if len(data) > 100000:
                    peer.sendall(data[100000:])
            except OSError:
                pass  # the server may hang up at any time
            for fd in {pipe_read, pipe_write, null}:
                os.close(fd)
            ours.close()
            theirs.close()
            if close:
                return b""
            answer = b""
            try:
                while part := peer.recv(65536):
                    answer += part
            except ConnectionError:
                pass
            except socket.timeout:
                self.fail(f"no end of connection; so far {answer!r}")
            return answer

    @staticmethod
    def kinds(answer):
        found = []
        while len(answer) >= REPLY.size:
            kind, _, _, length = REPLY.unpack_from(answer)
            found.append(kind)
            answer = answer[REPLY.size + length:]
        return found

    def test_a_good_request_of_our_own(self):
        """Else the malformed ones below would prove nothing."""
        path = self.socket_path()
        report = {REPORT_SIGNAL}
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, signal.pthread_sigmask(signal.SIG_BLOCK, report))
        for _ in range(5):
            answer = self.send(path, self.request(path))
            kinds = self.kinds(answer)
            if kinds[-1] != RETRY:
                break
        self.assertEqual(STARTED, kinds[-1], answer)
        told = signal.sigtimedwait(report, 5)
        self.assertEqual((SI_QUEUE, os.getuid()), (told.si_code, told.si_uid))

    def test_malformed_requests(self):
        path = self.socket_path()
        pid = self.bed.server_pid(self.good())
        good = self.request(path)
        cases = {
            "nothing": (b"", 0), "one byte": (b"Q", None), "no body": (good[:REQUEST.size], None),
            "half a head": (good[:60], None), "half a body": (good[:200], None),
            "noise": (os.urandom(4096), None), "zeros": (bytes(4096), None), "text": (b"GET / HTTP/1.1\r\n\r\n" * 20, 0),
            "no fds": (good, 0), "no deposit": (good, 1), "too many fds": (good, 60),
            "magic": (self.request(path, magic=1), None), "protocol": (self.request(path, protocol=99), None),
            "instance": (self.request(path, instance=bytes(16)), None), "what": (self.request(path, what=9), None),
            "terminal": (self.request(path, terminal=0xFFFFFFFF), None),
            "terminal without one": (self.request(path, terminal=1), None),
            "fork point": (self.request(path, fork_point=2), None),
            "no nul": (good[:-1] + b"x", None),
        }
        for field in ("name_length", "directory_length", "interpreter_length", "options_length", "argc", "argv_length",
                      "envc", "environ_length"):
            for value in (0xFFFFFFFF, 0x7FFFFFFF, 9 << 20, 0 if "length" not in field else 1):
                cases[f"{field}={value}"] = (self.request(path, **{field: value}), None)
        for name, (data, fds) in cases.items():
            with self.subTest(case=name):
                answer = self.send(path, data, fds)
                self.assertNotIn(STARTED, self.kinds(answer))
                self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([self.good()]))
        self.assertEqual(pid, self.bed.server_pid(self.good()), "the server was replaced")

    def test_malformed_deposits(self):
        path = self.socket_path()
        pid = self.bed.server_pid(self.good())
        for deposit in (b"", b"x", bytes(7), bytes(8), bytes(2000), INHERITED.pack(7, 1), INHERITED.pack(7, 0xFFFFFFFF),
                        INHERITED.pack(3, 0), INHERITED.pack(15, 0), INHERITED.pack(0xFFFFFFFF, 0), os.urandom(8)):
            with self.subTest(deposit=deposit):
                self.assertNotIn(STARTED, self.kinds(self.send(path, self.request(path), deposit=deposit)))
                self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([self.good()]))
        self.assertEqual(pid, self.bed.server_pid(self.good()), "the server was replaced")

    def test_body_beyond_the_limit(self):
        path = self.socket_path()
        data = self.request(path, environ_length=64 << 20) + b"x" * (12 << 20)
        self.assertNotIn(STARTED, self.kinds(self.send(path, data)))
        self.assert_good_works()

    def test_connections_that_go_away(self):
        path = self.socket_path()
        good = self.request(path)
        for size in (0, 1, 111, 112, 130, len(good) - 1, len(good)):
            for _ in range(3):
                self.send(path, good[:size], close=True)
        time.sleep(1.5)  # the limit of a request and a little: none of them is counted any more
        self.assert_good_works()
        self.assert_served([self.good()])

    def test_connections_that_say_nothing(self):
        """More of them than there are spares: a run passes them by."""
        path = self.socket_path()
        peers = []
        try:
            for _ in range(12):
                peers.append(socket.socket(socket.AF_UNIX))
                peers[-1].connect(path)
            start = time.monotonic()
            self.assert_good_works()
            self.assertLess(time.monotonic() - start, 10)
        finally:
            for peer in peers:
                peer.close()
        self.assert_good_works()

    def test_arguments_beyond_what_a_server_takes(self):
        """Beyond execve(2)'s own limits nothing can come; close below, it works or runs plainly."""
        path = self.bed.write("count.py", "import sys\nif __name__ == '__main__':\n    print(len(''.join(sys.argv[1:])))\n")
        arguments = ["x" * 100000] * 12
        self.assertEqual(self.bed.plain([path, *arguments]), self.bed.quick([path, *arguments]))


class Hung(harness.Case):
    """Instead of a server something listens that never answers."""

    activation = "self"

    def test_hung_server(self):
        script = self.bed.write("good.py", GOOD)
        self.bed.quick([script])
        name = next(name for name in os.listdir(self.bed.sockets) if name.endswith(".sock"))
        self.assertEqual([], self.bed.stop())
        os.makedirs(self.bed.sockets, 0o700, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(self.bed.sockets, name))
            listener.listen()
            start = time.monotonic()
            result = self.bed.quick([script])
            took = time.monotonic() - start
        os.unlink(os.path.join(self.bed.sockets, name))
        self.assertEqual(harness.Result(0, b"good\n", b""), result)
        self.assertLess(took, 30)

    def test_stopped_server(self):
        """Every process of the server is stopped: the run is a plain one."""
        script = self.bed.write("good.py", GOOD)
        self.bed.quick([script])
        pids = self.bed.processes()
        self.assertTrue(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([script]))
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # a command that was about to end
                    os.kill(pid, signal.SIGCONT)

    def test_stale_socket(self):
        """Left by a server that was killed: a new one takes its place."""
        script = self.bed.write("good.py", GOOD)
        self.bed.quick([script])
        for pid in self.bed.processes():
            with contextlib.suppress(ProcessLookupError):  # spares end with the supervisor
                os.kill(pid, signal.SIGKILL)
        self.assertTrue(harness.wait_until(lambda: not self.bed.processes()))
        self.assertEqual(harness.Result(0, b"good\n", b""), self.bed.quick([script]))
        self.assert_served([script])


if __name__ == "__main__":
    harness.main()
