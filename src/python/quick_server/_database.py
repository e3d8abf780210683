"""A SQLite file that threads and processes share, and whose trouble is never a request's.

run() calls an action in a transaction, and gives its default back where the file cannot be used: full disk, no
permission, locked for long, not a database. Each kind of trouble is said once. A file that is corrupt is replaced,
once a process: a cache's is removed, another one is kept beside it as FILE.broken.

One connection a process, under one lock; statements are short. SQLite's own state must not be used in the child of a
fork (sqlite.org, "How To Corrupt", 2.6): there every run() gives the default, for a file that was open at the fork.
The connection is leaked then, on purpose: closing it would touch the parent's files. A fork waits until no thread is in
a transaction (ForkLock): of SQLite's own locks none is held in the child, should a job use SQLite itself.

A worker's death (_jobs) may come at any line, once a thread. So what must be undone is undone twice, by two `finally`
of which one is around the other: if the inner one is cut short, nothing cuts the outer one.
"""

import os
import sqlite3
from typing import Any, Callable, List, Optional, Set, TypeVar

from quick_server._forked import ForkLock, is_mine, tell_after_fork

T = TypeVar('T')

BUSY = 3.0  # seconds that one process waits for another's transaction
_leaked: List[Any] = []
_inherited: Set[str] = set()  # files that were open in a process that this one is a fork of


class Database:
    """path: the file, made when first needed, with mode 0600. schema: statements that may run again.
    log: is told of trouble. precious: a corrupt file is kept."""

    def __init__(self, path: str, schema: str, log: Callable[[str], None], precious: bool) -> None:
        self.path = os.path.abspath(path)
        self._schema = schema
        self._log = log
        self._precious = precious
        self._connection: Optional[sqlite3.Connection] = None
        self._said: Set[str] = set()
        self._replaced = False
        self._used = False
        self._lock = ForkLock()
        tell_after_fork(self)

    def after_fork(self) -> None:
        if self._used:
            _leaked.append(self._connection)
            _inherited.add(self.path)
        self._connection = None

    def inside(self) -> bool:
        """This thread is in run() already: a destructor has been called in the midst of it."""
        return is_mine(self._lock.raw)

    def run(self, action: Callable[[sqlite3.Connection], T], default: T, write: bool = True) -> T:
        """action(connection) in a transaction; `default` in case of trouble. Not from within itself."""
        if self.path in _inherited:
            return default
        lock = self._lock.raw
        try:
            with lock:
                try:
                    return self._attempt(action, default, write)
                finally:
                    self._roll_back()
        finally:
            if is_mine(lock):
                lock.release()  # CPython 3.8 and 3.9 look for a death between a block's end and its __exit__()

    def close(self) -> None:
        with self._lock.raw:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _attempt(self, action: Callable[[sqlite3.Connection], T], default: T, write: bool) -> T:
        for _ in range(2):
            try:
                return self._transaction(action, write)
            except (sqlite3.Error, sqlite3.Warning, OSError, OverflowError) as error:
                if not self._mended(error):
                    break
        return default

    def _transaction(self, action: Callable[[sqlite3.Connection], T], write: bool) -> T:
        connection = self._connection or self._open()
        self._roll_back()
        try:
            connection.execute('BEGIN IMMEDIATE' if write else 'BEGIN')  # inside: a death may come while it waits
            result = action(connection)
            connection.execute('COMMIT')
            return result
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        """The transaction that is still open, if there is one."""
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute('ROLLBACK')
            except sqlite3.Error:
                pass  # the next run() tries it again

    def _open(self) -> sqlite3.Connection:
        self._used = True
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        owner = os.stat(self.path)
        if owner.st_uid != os.geteuid() or owner.st_mode & 0o022:
            raise PermissionError(f'{self.path}: others may write to it')
        connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute('PRAGMA auto_vacuum = INCREMENTAL')
            connection.execute('PRAGMA journal_mode = WAL')
            connection.execute('PRAGMA synchronous = NORMAL')
            connection.execute('PRAGMA journal_size_limit = 4194304')
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _mended(self, error: BaseException) -> bool:
        """Says what the trouble is; whether it is worth another try."""
        corrupt = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, (
            sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError))
        mended = corrupt and not self._replaced
        text = f"{self.path}: {error}; {'begins anew' if mended else 'goes on without'}"
        if text not in self._said and len(self._said) < 20:
            self._said.add(text)
            self._log(text)
        if mended:
            self._replaced = True
            self._replace()
        return mended

    def _replace(self) -> None:
        """All three files: another process that has them open goes on with what no name leads to any more."""
        try:
            self.close()
        except sqlite3.Error:
            self._connection = None
        for suffix in ('-wal', '-shm', ''):
            try:
                if self._precious and not suffix:
                    os.replace(self.path, self.path + '.broken')
                else:
                    os.unlink(self.path + suffix)
            except OSError:
                pass  # not there, or not ours to remove: the next run() says so
