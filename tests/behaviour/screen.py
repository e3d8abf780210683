"""A terminal with a shell in it: keys go in, a screen comes out.

The terminal is a pty, the screen is pyte's. A screen is compared, and waited for, as one text: its lines without the
blanks at their ends, and a mark where the cursor is. Nothing here waits for time to pass: a screen counts once what
was expected is on it and all processes of the terminal are asleep, so that nothing more can come.
"""

import errno
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

CURSOR = "█"


class NotShown(AssertionError):
    """What was waited for did not come; its text has the screen."""


class Terminal:
    """A process that leads a session on a terminal of its own.

    mark  NAME=VALUE, bytes, in the environment of all processes that belong to the terminal
    """

    def __init__(self, argv, env, cwd, mark, rows=24, columns=80):
        self.mark = mark
        self.received = bytearray()
        self.unanswered = False  # keys were typed and nothing has come since
        self.master, slave = os.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.answers = []  # of the terminal itself, to a program that asks where its cursor is
        self.screen.write_process_input = self.answers.append
        self.stream = pyte.ByteStream(self.screen)
        self.set_size(rows, columns)
        try:
            self.process = subprocess.Popen(
                argv, env=env, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        finally:
            os.close(slave)
        os.set_blocking(self.master, False)

    # What a user does

    def type(self, keys):
        self.read(0)
        self.unanswered = True
        self.write(keys)

    def write(self, data):
        """All of it, however much the terminal takes at once."""
        deadline = time.monotonic() + 10
        while data:
            _, writable, _ = select.select([], [self.master], [], 0.05)
            if writable:
                try:
                    data = data[os.write(self.master, data):]
                except BlockingIOError:
                    pass
            elif time.monotonic() > deadline:
                raise NotShown(f"nobody takes {len(data)} bytes that were typed\n{self}")
            self.read(0)

    def resize(self, rows, columns):
        self.read(0)
        self.screen.resize(rows, columns)
        self.set_size(rows, columns)

    def set_size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def foreground(self):
        """The process group that the terminal's signals go to."""
        return os.tcgetpgrp(self.master)

    def hang_up(self):
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    # What a user sees

    def read(self, seconds):
        """Takes what has come, after waiting for something to come; False if nothing has."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # the last process has closed it
                raise
            time.sleep(min(seconds, 0.01))
            return False
        self.received += data
        self.stream.feed(data)
        self.unanswered = False
        while self.answers:
            self.write(self.answers.pop(0).encode())
        return bool(data)

    def text(self):
        lines = [line.rstrip() for line in self.screen.display]
        row, column = self.screen.cursor.y, self.screen.cursor.x
        lines[row] = (lines[row][:column].ljust(column) + CURSOR + lines[row][column:])
        return "\n".join(lines).rstrip("\n") + "\n"

    def wait(self, pattern, rest=True, seconds=10):
        """Until `pattern` is on the screen, something has come since keys were typed, and, with `rest`, all is quiet."""
        expected = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + seconds
        while True:
            shown = not self.unanswered and expected.search(self.text()) and not self.read(0)
            # What comes while the processes are looked at is part of the screen.
            if shown and (not rest or at_rest(self.mark) and not self.read(0)):
                return
            if time.monotonic() > deadline:
                raise NotShown(f"{pattern!r} is {'shown, but nothing comes to rest' if shown else 'not on the screen'}\n{self}")
            self.read(0.001 if shown else 0.02)

    def __str__(self):
        width = self.screen.columns
        return "\n".join(["+" + "-" * width, *("|" + line for line in self.text().splitlines()), "+" + "-" * width])

    def close(self):
        """Hangs up; the session's leader is gone afterwards."""
        self.hang_up()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def processes(mark, unsure=False):
    """Pids of all processes that have `mark` in their environment; and, if `unsure`, that have none while they exec."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                variables = environ.read()
        except OSError:
            continue
        if mark in variables.split(b"\0") or unsure and not variables and state(pid) in ("R", "D"):
            yield int(pid)


def state(pid):
    """One letter of proc(5), empty if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b") ")[2][:1].decode()
    except OSError:
        return ""


def activity(mark):
    """What changes whenever one of the processes runs; None if one is running now."""
    seen = {}
    for pid in processes(mark, unsure=True):
        try:
            with open(f"/proc/{pid}/schedstat", "rb") as schedstat:
                times = schedstat.read()
        except OSError:
            return None
        if state(pid) not in ("S", "T", "t"):
            return None
        seen[pid] = times
    return seen


def at_rest(mark):
    """None of the processes has run between two looks: a single one misses those that are just being made."""
    before = activity(mark)
    return before is not None and before == activity(mark)


def kill_all(mark):
    for pid in processes(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
