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
from typing import Dict, Iterator, Optional

from quick_server._forked import tell_after_fork

SLICE = 0.05  # seconds


class _Entry:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0  # who waits or has it; the entry goes with the last
        self.depth = 0  # of the thread that has it


class KeyLocks:
    """Reentrant locks by key. path: of the file for other processes, made when first needed; None: threads only."""

    def __init__(self, path: Optional[str]) -> None:
        self._path = path
        self._forget()
        tell_after_fork(self)

    def _forget(self) -> None:
        """As new. In the child of a fork no thread is left that could let go, and the file is its parent's."""
        self._guard = threading.Lock()
        self._entries: Dict[bytes, _Entry] = {}
        self._file = -1

    def after_fork(self) -> None:
        if self._file >= 0:
            self._path = None
        self._forget()

    @contextlib.contextmanager
    def hold(self, key: bytes, seconds: Optional[float] = None) -> Iterator[None]:
        """Waits for the key's lock; for that of other processes at most `seconds` (None: as long as it takes)."""
        entry = self._enter(key)
        held = False
        try:
            while not entry.lock.acquire(timeout=SLICE):
                pass
            held = True
            entry.depth += 1
            offset = int.from_bytes(hashlib.sha256(key).digest()[:7], 'big')
            locked = entry.depth == 1 and self._lock_file(offset, seconds)
            try:
                yield
            finally:
                if locked:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, offset)
        finally:
            if held:
                entry.depth -= 1
                entry.lock.release()
            self._leave(key, entry)

    def _enter(self, key: bytes) -> _Entry:
        with self._guard:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
            return entry

    def _leave(self, key: bytes, entry: _Entry) -> None:
        with self._guard:
            entry.users -= 1
            if not entry.users:
                self._entries.pop(key, None)

    def _lock_file(self, offset: int, seconds: Optional[float]) -> bool:
        end = None if seconds is None else time.monotonic() + seconds
        pause = 0.001
        while self._open():
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
                return True
            except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, fcntl(2)
                if end is not None and time.monotonic() > end:
                    return False
                time.sleep(pause)
                pause = min(2 * pause, SLICE)
            except OSError:
                return False  # a file system without locks
        return False

    def _open(self) -> bool:
        if self._file < 0 and self._path is not None:
            with self._guard:
                if self._file < 0:
                    try:
                        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                    except OSError:
                        self._path = None
        return self._file >= 0
