"""A template without a server: the interpreter started as a supervisor starts it, and the trace that it sends.

The messages and records are those of src/common/control.hpp and src/common/trace.hpp.
"""

import array
import collections
import fcntl
import os
import socket
import stat
import struct
import subprocess

import harness

HOOK = os.path.join(harness.PREFIX, "libexec", "quicken", "quicken-interp.so")
FIRST_FD = 800
MESSAGE = struct.Struct("=IIIIIii512s")
READY, UNFIT = 2, 3
HEADER = struct.Struct("=IIQQQqqqq")
FILE, DIRECTORY, VARIABLE, EVERYTHING, TERMINAL, SIZE, CWD, NAME, MODULE, REPORT, REFUSED, ENTRY = range(1, 13)

# files: {path: identity, None for nothing}; entries: the same, links not followed; directories: {path: (asked, found)}; variables: {name: value or None};
# others: [(kind, text)]
Trace = collections.namedtuple("Trace", "files directories variables everything others entries")


class Unfit(Exception):
    """With the reason, and in `trace` what was read by then; None if that was not told."""

    def __init__(self, reason, trace):
        super().__init__(reason)
        self.trace = trace


def identity(path):
    """As a record has it."""
    status = os.stat(path)
    return (status.st_dev, status.st_ino, status.st_size,
            *divmod(status.st_mtime_ns, 10**9), *divmod(status.st_ctime_ns, 10**9))


def counted(path, ask=os.stat):
    """The same of anything; None if there is nothing."""
    try:
        status = ask(path)
    except OSError:
        return None
    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        return (status.st_dev, status.st_ino, status.st_size,
                *divmod(status.st_mtime_ns, 10**9), *divmod(status.st_ctime_ns, 10**9))
    return (0, 0, status.st_mode, 0, 0, 0, 0)


def parse(data):
    trace = Trace({}, {}, {}, [], [], {})
    at = 0
    while at < len(data):
        kind, length, *numbers = HEADER.unpack_from(data, at)
        at += HEADER.size
        text = data[at:at + length].decode(errors="surrogateescape")
        at += length
        if kind == FILE:
            assert text not in trace.files, text
            trace.files[text] = tuple(numbers) if any(numbers) else None
        elif kind == ENTRY:
            assert text not in trace.entries, text
            trace.entries[text] = tuple(numbers) if any(numbers) else None
        elif kind == DIRECTORY:
            path, asked, found = text.split("\0")
            assert path not in trace.directories, path
            trace.directories[path] = set(asked.split("/")), set(filter(None, found.split("/")))
            for names in asked, found:
                assert names.split("/") == sorted(names.split("/")), names
        elif kind == VARIABLE:
            name, equals, value = text.partition("=")
            assert name not in trace.variables, name
            trace.variables[name] = value if equals else None
        elif kind == EVERYTHING:
            assert length == 0
            trace.everything.append(True)
        else:
            assert TERMINAL <= kind <= REFUSED, kind
            trace.others.append((kind, text))
    assert at == len(data)
    return trace


def trace_of(bed, name, what="file", env=None, python=harness.PYTHON, rung=1, options=(), terminal=0, rows=0, columns=0):
    """The trace of the program's template, which is ended; raises Unfit with its reason if it gives up.

    terminal   bit N: fd N of its clients is a terminal, of `rows` and `columns`
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    board = os.memfd_create("board")
    os.ftruncate(board, 1 << 16)
    control = theirs.fileno()
    fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, FIRST_FD) for fd in (control, control, control, board, control)]
    environment = bed.env(env)
    environment.update(LD_PRELOAD=HOOK, QUICKEN_TEMPLATE=",".join(map(str, [*fds, -1, rung, -1, -1, -1, terminal, rows, columns])))
    guard = ["-c", "raise SystemExit('the hook is not there')"]
    process = subprocess.Popen([python, *options, *guard, what, name, "0" * 32, "", "", "", "", name], env=environment,
                               cwd=bed.work, pass_fds=fds)
    try:
        theirs.close()
        for fd in (board, *fds):
            os.close(fd)
        return receive(ours)
    finally:
        ours.close()
        process.kill()
        process.wait()


def receive(control):
    control.settimeout(harness.TIMEOUT)
    data, ancillary, _flags, _peer = control.recvmsg(MESSAGE.size, socket.CMSG_SPACE(4))
    message = MESSAGE.unpack(data)
    trace = None
    for _level, _type, passed in ancillary:
        with open(array.array("i", passed)[0], "rb") as memory:
            memory.seek(0)
            trace = parse(memory.read())
    if message[0] != READY:
        raise Unfit(message[-1].rstrip(b"\0").decode(), trace)
    return trace
