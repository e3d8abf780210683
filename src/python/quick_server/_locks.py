"""Locks by key: among the threads of this process and, with a file, among the processes that have it open.

A key's lock of another process is a byte of the file (fcntl(2), POSIX locks): the kernel lets it go when its process
ends, however that is. Such locks belong to the process and not to a descriptor, so a lock of this process's threads
stands before each; and closing any descriptor of the file would let all go, so the file has one descriptor, for good.
Waiting is done in slices: a worker that is to end (an exception raised in its thread) leaves within one.

Where the file cannot be had, or another process does not let go in time, the caller goes on with the lock among
threads: whoever asks for a lock here would rather do its work twice than not at all.
"""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from typing import Any, Dict, Iterator, Optional

from quick_server._forked import is_mine, tell_after_fork

SLICE = 0.05  # seconds


_mine = threading.local()  # .holds: the _Hold of each block that this thread is in


class _Hold:
    """What a thread has of a key's lock, or waits for."""

    def __init__(self, locks: 'KeyLocks', key: bytes) -> None:
        self.locks = locks
        self.key = key
        self.offset = int.from_bytes(hashlib.sha256(key).digest()[:7], 'big')
        self.thread = threading.get_ident()
        self.lock: Any = None  # an RLock, as that knows whose it is; taken once


def let_go_all() -> None:
    """What this thread still has. For a worker's end: its death may come before the first line of what lets go, and
    someone may keep the frames."""
    for hold in list(_mine.__dict__.get('holds', ())):
        hold.locks._let_go(hold)


class KeyLocks:
    """Reentrant locks by key. path: of the file for other processes, made when first needed; None: threads only."""

    def __init__(self, path: Optional[str]) -> None:
        self._path = path
        self._forget()
        tell_after_fork(self)

    def _forget(self) -> None:
        """As new. In the child of a fork no thread is left that could let go, and the file is its parent's."""
        self._guard = threading.Lock()
        self._locks: Dict[bytes, Any] = {}  # by key: RLocks that someone has, or is about to take
        self._file = -1

    def after_fork(self) -> None:
        if self._file >= 0:
            self._path = None
        self._forget()

    @contextlib.contextmanager
    def hold(self, key: bytes, seconds: Optional[float] = None) -> Iterator[None]:
        """Waits for the key's lock; for that of other processes at most `seconds` (None: as long as it takes)."""
        hold = _Hold(self, key)
        try:
            try:
                if self._take(hold):
                    self._lock_file(hold.offset, seconds)
                yield
            finally:
                self._let_go(hold)
        finally:
            self._let_go(hold)  # a death, which comes once, has cut the first one short: this one is whole

    def _take(self, hold: _Hold) -> bool:
        """False if the thread has it already, in a block around this one."""
        _mine.__dict__.setdefault('holds', set()).add(hold)
        while True:
            lock = self._locks.setdefault(hold.key, threading.RLock())
            if is_mine(lock):
                return False
            hold.lock = lock  # before it is taken: a death may come in between
            while not lock.acquire(timeout=SLICE):
                pass
            if self._locks.get(hold.key) is lock:
                return True
            lock.release()  # who had it has removed it meanwhile, so that others may have another one

    def _let_go(self, hold: _Hold) -> None:
        """As far as that has not been done. What counts is whose the lock is, and not what the thread has got to do:
        a death may have come right after each call."""
        if hold.thread != threading.get_ident():
            return  # a collector of garbage in another thread: let_go_all() does it
        if hold.lock is not None and is_mine(hold.lock):
            if self._locks.get(hold.key) is hold.lock:
                self._unlock_file(hold.offset)
                self._locks.pop(hold.key, None)  # only by who has it
            hold.lock.release()
        hold.lock = None
        _mine.__dict__.get('holds', set()).discard(hold)

    def _lock_file(self, offset: int, seconds: Optional[float]) -> None:
        end = None if seconds is None else time.monotonic() + seconds
        pause = 0.001
        while self._open():
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
                return
            except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, fcntl(2)
                if end is not None and time.monotonic() > end:
                    return
                time.sleep(pause)
                pause = min(2 * pause, SLICE)
            except OSError:
                return  # a file system without locks

    def _unlock_file(self, offset: int) -> None:
        """Whether or not this process has got it: no other thread can have."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, offset)

    def _open(self) -> bool:
        if self._file < 0 and self._path is not None:
            with self._guard:
                path = self._path  # None: another thread has just tried in vain
                if self._file < 0 and path is not None:
                    try:
                        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # before the database does
                        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                    except OSError:
                        self._path = None
        return self._file >= 0
