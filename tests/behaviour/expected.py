"""A spare expects its client to be as the last one was: who is not must not notice. Clients that differ in environment and
standard streams, in an order of chance, each compared with a plain run."""

import fcntl
import os
import pty
import random
import subprocess
import sys
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness

SCRIPT = """
    import os, sys
    if __name__ == '__main__':
        def look(stream):
            if stream is None:
                return None
            raw = stream.buffer.raw
            try:
                place = stream.tell() if stream.seekable() else None
            except OSError as error:
                place = error.errno
            return (stream.line_buffering, stream.write_through, stream.encoding, stream.errors, stream.isatty(), raw.name,
                    raw.mode, raw.closefd, raw._blksize, place, stream.fileno())
        with open(sys.argv[1], 'w') as seen:
            print([look(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)], file=seen)
            print([stream is None for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__)], file=seen)
            print(dict(os.environ), sorted(os.environb.items()), os.environ is not None, file=seen)
            print(os.popen('env | LC_ALL=C sort').read(), file=seen)
            with open('/proc/self/environ', 'rb') as own:
                print(own.read(), file=seen)
            print(repr(sys.stdin.read(100)) if sys.stdin and not sys.stdin.isatty() else None, file=seen)
        for stream in (sys.stdout, sys.stderr):
            if stream:
                print('told', file=stream)
"""

ENVIRONMENTS = ({}, {"A": "1"}, {"A": "2"}, {"B": "1"}, {"A": ""}, {"A": "1", "B": "2"}, {"LARGE": "x" * 40000}, {"A": "=="},
                {"ZA": "1xxxxx"}, {"ZA": "1", "ZB": "2"}, {"ODD": "\udcff\udc80"}, {"HOME": "/nowhere"}, {"TERM": "dumb", "COLUMNS": "30"})
STREAMS = ("pipe", "null", "file", "grown", "terminal", "closed", "full")


def read_all(fd):
    """Until its other end is closed, which of a terminal is told by an error."""
    parts = []
    try:
        while part := os.read(fd, 65536):
            parts.append(part)
    except OSError:
        pass
    return b"".join(parts)


class Expected(harness.Case):
    def stream(self, kind, fd, slave):
        """An fd for the client's fd, or None: it is closed."""
        if kind == "terminal":
            return os.dup(slave)
        if kind == "pipe":
            reading, writing = os.pipe()
            kept, passed = (writing, reading) if fd == 0 else (reading, writing)
            if fd == 0:
                os.write(kept, b"from a pipe\n")
                os.close(kept)
            else:
                self.open.append(kept)
            return passed
        if kind in ("null", "full"):
            return os.open("/dev/" + kind, os.O_RDWR)
        if kind == "closed":
            return None
        name = self.bed.write(f"stream{fd}", "from a file\n" * 3)
        passed = os.open(name, os.O_RDWR)
        if kind == "grown":
            os.lseek(passed, 5, os.SEEK_SET)
        return passed

    def result(self, argv, env, kinds):
        """What the program has seen, what its streams got, its status."""
        self.open = []
        seen = self.bed.path("seen")
        master, slave = pty.openpty()
        self.open.append(master)
        fds = [self.stream(kind, fd, slave) for fd, kind in enumerate(kinds)]
        given = [fd for fd in fds if fd is not None]

        def place():
            high = [None if fd is None else fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in fds]
            os.setsid()
            if "terminal" in kinds:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd, from_ in enumerate(high):
                os.close(fd) if from_ is None else os.dup2(from_, fd)

        process = subprocess.Popen([*argv, seen], env=self.bed.env(env), cwd=self.bed.work, preexec_fn=place, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in [*given, slave]:
            os.close(fd)
        status = process.wait(harness.TIMEOUT)
        got = [read_all(fd) for fd in self.open]
        for fd in self.open:
            os.close(fd)
        with open(seen, "rb") as file:
            text = file.read()
        os.unlink(seen)
        files = []
        for fd in range(3):
            try:
                with open(self.bed.path(f"stream{fd}")) as file:
                    files.append(file.read())
            except FileNotFoundError:
                files.append(None)
        return text, got, status, files

    def test_others(self):
        script = self.bed.write("script.py", harness.dedent(SCRIPT))
        plain, quick = [harness.PYTHON, script], self.bed.quick_argv([script])
        chance = random.Random(5)
        for turn in range(int(os.environ.get("QUICKEN_TEST_ROUNDS", "60"))):
            env = chance.choice(ENVIRONMENTS)
            kinds = [chance.choice(STREAMS) for _ in range(3)]
            expected = self.result(plain, env, kinds)
            for _ in range(chance.choice((1, 1, 2))):
                with self.subTest(turn, env=env, streams=kinds):
                    self.assertEqual(expected, self.result(quick, env, kinds))
        status = self.bed.status(script)
        self.assertEqual("prelude", status["rung"])
        self.assertGreater(status["commands_run"], 10)


if __name__ == "__main__":
    harness.main()
