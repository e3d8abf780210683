"""A job in a process of its own: forked, so that it has all that the script has, and ended by SIGKILL.

A fork of a process with threads has one thread, and every lock that another one held stays held. Those that a job may
meet: the interpreter's and logging's are Python's own care; standard streams, and of the import system the locks of
single modules, are made anew here; ours are made anew (_forked), and the engine's and the supervisor's descriptors
are closed, by os.register_at_fork(). The script's own locks are its own care, as are libraries with threads. A child
that waits for ever is one that never answers: stopped like any other.

The child gives its result through a pipe: kind, length, bytes. Its end is learned from the kernel and not only from
the pipe, whose other end something that the job has started could hold open. It leads a process group, so that what
it has started ends with it; it is killed when the thread ends that made it (prctl(2), PR_SET_PDEATHSIG: a thread, and
so any death of this process), and it is reaped by that same thread, which does nothing else: a pid is signalled under
the job's lock and only before it is reaped.
"""

import importlib
import io
import json
import os
import select
import signal
import struct
import sys
import time
import traceback
from typing import Any, Callable, Tuple

from quick_server._jobs import Job, without_our_frames
from quick_server._response import PreventDefaultResponse

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_HEAD = struct.Struct('=cQ')
_LOOK = 100  # milliseconds between looks whether the child still is, while nothing comes
_LEAVE = 2.0  # seconds for a child that has answered to end


class JobFailed(Exception):
    """A job's process raised an exception, whose traceback is the text, or was killed."""


def run_isolated(job: Job, function: Callable[[], str]) -> str:
    """function() in a forked child, from the job's thread. WorkerDeath if it is stopped."""
    import ctypes  # before the fork: the child had better not import
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    with job.shielded() as arm:
        reader, writer = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _child(function, writer, parent, prctl)
        os.close(writer)
        try:
            _lead(pid)
            arm(lambda: _kill(pid))
            kind, data = _receive(reader, pid)
        finally:
            os.close(reader)
            status = _finish(job, pid)
    return _result(kind, data, status)


def _lead(pid: int) -> None:
    try:
        os.setpgid(pid, pid)  # as the child does: whoever is first
    except OSError:
        pass  # it has ended


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # it has ended, and is not reaped yet


def _receive(reader: int, pid: int) -> Tuple[bytes, bytes]:
    """Kind and content of what the child says; empty if it ends without."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    data = bytearray()
    ended = False
    while True:
        if poll.poll(0 if ended else _LOOK):
            part = os.read(reader, 1 << 20)
            data += part
            if len(data) >= _HEAD.size:
                kind, length = _HEAD.unpack_from(data)
                if len(data) >= _HEAD.size + length:
                    return kind, bytes(data[_HEAD.size:])
            if not part:
                return b'', b''
        elif ended:
            return b'', b''
        else:
            ended = _has_ended(pid)  # what it wrote before that is read first


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # the script ignores SIGCHLD: the kernel has reaped it


def _finish(job: Job, pid: int) -> int:
    """Ends what is left of the child and its group, and reaps it. Its wait status, -1 if that is unknown."""
    end = time.monotonic() + _LEAVE
    while not _has_ended(pid) and time.monotonic() < end and job.wanted:
        time.sleep(0.001)
    with job.unarmed():
        _kill(pid)
        try:
            return os.waitpid(pid, 0)[1]
        except ChildProcessError:
            return -1


def _result(kind: bytes, data: bytes, status: int) -> str:
    if kind == b'r':
        return data.decode('ascii')
    if kind == b'p':
        raise PreventDefaultResponse(*json.loads(data))
    if kind == b'e':
        raise JobFailed(data.decode('utf-8', 'replace'))
    if os.WIFSIGNALED(status):
        raise JobFailed(f"the job's process was killed by signal {os.WTERMSIG(status)}")
    code = f' with status {os.WEXITSTATUS(status)}' if os.WIFEXITED(status) else ''
    raise JobFailed(f"the job's process ended{code} without a result")


def _child(function: Callable[[], str], writer: int, parent: int, prctl: Callable[..., int]) -> None:
    """Never returns."""
    try:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # it ended before the line above
        kind, data = _attempt(function)
        _flush_streams()
        _send(writer, _HEAD.pack(kind, len(data)) + data)
        os._exit(0)
    except BaseException:  # whatever it is, the server's code must not go on here
        os._exit(1)


def _attempt(function: Callable[[], str]) -> Tuple[bytes, bytes]:
    try:
        os.setpgid(0, 0)
        _default_signals()
        _drop_import_locks()
        _renew_streams()
        return b'r', function().encode('ascii')
    except PreventDefaultResponse as error:
        return b'p', json.dumps([error.code, error.message]).encode()
    except BaseException as error:
        trace = traceback.format_exception(type(error), error, without_our_frames(error).__traceback__)
        return b'e', ''.join(trace).rstrip('\n').encode('utf-8', 'replace')


def _send(writer: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(writer, view):]


def _default_signals() -> None:
    """Those that the server or the script handles: their handlers are about the server."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        try:
            if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN):
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # SIGKILL, SIGSTOP, the C library's own
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _drop_import_locks() -> None:
    """Of modules that another thread was importing (importlib._bootstrap, CPython 3.8 to 3.13): new ones are made."""
    bootstrap = getattr(importlib, '_bootstrap', None)
    for name in ('_module_locks', '_blocking_on'):
        held: Any = getattr(bootstrap, name, None)
        if hasattr(held, 'clear'):
            held.clear()


def _renew_streams() -> None:
    """Another thread may have been writing: its stream's buffer is locked, and holds what is the parent's to write."""
    for name in ('stdout', 'stderr'):
        old = getattr(sys, name)
        if not isinstance(old, io.TextIOWrapper):
            continue  # the script's own
        try:
            raw = io.FileIO(old.fileno(), 'w', closefd=False)
        except (OSError, ValueError):
            continue  # closed
        new = io.TextIOWrapper(io.BufferedWriter(raw), old.encoding, old.errors, line_buffering=True)
        setattr(sys, name, new)
        for reference in getattr(sys.modules.get('logging'), '_handlerList', ()):
            handler: Any = reference()
            if getattr(handler, 'stream', None) is old:
                handler.stream = new


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or nobody reads it: not the job's business
