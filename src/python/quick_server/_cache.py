"""Results on disk, for server.cache and for scripts that use QuickCache themselves.

    cache = QuickCache("data.csv", quota=500, ram_quota=50)
    with cache.get_hnd({"k": 3}, section="means", method="json") as hnd:
        result = hnd.read() if hnd.has() else hnd.write(compute(3))

One SQLite file in the directory `temp`, which caches of several base files, threads and processes may share. While a
thread is in the `with` block, others that want the same entry wait (KeyLocks): what is expensive is computed once. An
entry is valid as long as its base files have the size and time of change that they had when get_hnd() was called, so
a result that was computed while they changed is not taken for the new one's. Entries beyond the quota go, the least
recently used first.

Whatever the file's trouble (Database), a script only sees a cache that has nothing. In the child of a fork it has
nothing, too.
"""

import collections
import hashlib
import json
import os
import pickle
import sqlite3
import threading
import time
from typing import Any, Callable, ContextManager, Dict, List, Optional, OrderedDict, Sequence, Tuple, Union

from quick_server._database import Database
from quick_server._forked import tell_after_fork
from quick_server._locks import KeyLocks

MIB = 1 << 20
BATCH = 64  # entries that go at a time while the quota is exceeded
STALE = 10.0  # seconds between two notes in the file that an entry in memory is used
FILE = 'quick_cache.db'

# The sum is kept by triggers: to add up many entries at each write would cost more than the write.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, section TEXT, base BLOB, state BLOB, value BLOB,
                                    size INTEGER, used REAL);
CREATE INDEX IF NOT EXISTS entries_used ON entries (used);
CREATE INDEX IF NOT EXISTS entries_base ON entries (base, state);
CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER);
INSERT OR IGNORE INTO total VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS entry_added AFTER INSERT ON entries
  BEGIN UPDATE total SET size = size + new.size; END;
CREATE TRIGGER IF NOT EXISTS entry_gone AFTER DELETE ON entries
  BEGIN UPDATE total SET size = size - old.size; END;
"""

_Encode = Callable[[Any], bytes]
_Decode = Callable[[bytes], Any]


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"method 'string' stores a str, not {type(value).__name__}")
    return value.encode('utf-8', 'surrogatepass')


_METHODS: Dict[str, Tuple[_Encode, _Decode]] = {
    'string': (_text, lambda data: data.decode('utf-8', 'surrogatepass')),
    'json': (lambda value: json.dumps(value).encode(), json.loads),
    'pickle': (pickle.dumps, pickle.loads),
    'bytes': (bytes, bytes),
}


class CacheHandle:
    """One entry, in a `with` block. has(): whether there is a valid one. read(): its value; KeyError without one.
    write(value): stores the value, and gives it back whether or not that was possible."""

    def __init__(self, cache: 'QuickCache', key: bytes, section: str, method: str, state: bytes) -> None:
        self._cache = cache
        self._key = key
        self._section = section
        self._encode, self._decode = _METHODS[method]
        self._state = state
        self._data: Optional[bytes] = None
        self._lock: Optional[ContextManager[None]] = None

    def __enter__(self) -> 'CacheHandle':
        self._lock = self._cache._locks.hold(self._key)
        self._lock.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._data = None
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    def name(self) -> str:
        return self._key.hex()

    def has(self) -> bool:
        if self._data is None:
            self._data = self._cache._load(self._key, self._state)
        return self._data is not None

    def read(self) -> Any:
        if not self.has() or self._data is None:
            raise KeyError(self.name())
        return self._decode(self._data)

    def write(self, value: Any) -> Any:
        self._data = self._encode(value)
        self._cache._store(self._key, self._section, self._state, self._data)
        return value


class QuickCache:
    """base_file: a path, or several, whose change makes the entries invalid; base_string: a text that
    does. quota, ram_quota: MiB on disk (None: no limit) and, of these, in memory (0: none). temp: the directory,
    made when first needed; None: a directory of that user in the system's for temporary files. warnings: is told of
    trouble, with a text; default: the server's log. RAM is this process's: clean_cache() of another one does not
    reach it."""

    def __init__(self, base_file: Union[str, Sequence[str], None] = None, base_string: Optional[str] = None,
                 quota: Optional[float] = None, ram_quota: float = 0, temp: Optional[str] = 'tmp',
                 warnings: Optional[Callable[..., Any]] = None) -> None:
        self._files = [os.path.abspath(os.fspath(file)) for file in _as_list(base_file)]
        self._base = hashlib.sha256(json.dumps([self._files, base_string]).encode()).digest()
        self._quota = None if quota is None else int(quota * MIB)
        self._ram_quota = int(ram_quota * MIB)
        self._warnings = warnings
        self._state = b''
        folder = os.path.abspath(temp) if temp is not None else _own_folder()
        self._database = Database(os.path.join(folder, FILE), _SCHEMA, self._warn, precious=False)
        self._locks = KeyLocks(os.path.join(folder, FILE + '-lock'))
        self._ram: 'OrderedDict[bytes, _InMemory]' = collections.OrderedDict()  # by key, the last one used at the end
        self._ram_size = 0
        self._guard = threading.Lock()
        tell_after_fork(self)

    def get_hnd(self, obj: Any, section: str = '', method: Optional[str] = None) -> CacheHandle:
        """The entry that `obj` (anything that JSON can say, else its pickle) names in the section. method: how values
        are stored: 'string', 'json', 'bytes', 'pickle' (None)."""
        method = method or 'pickle'
        if method not in _METHODS:
            raise ValueError(f'unknown method of the cache: {method!r}')
        key = hashlib.sha256(self._base)
        for part in (section.encode(), method.encode(), _identity(obj)):
            key.update(hashlib.sha256(part).digest())
        return CacheHandle(self, key.digest(), section, method, self._current())

    def clean_cache(self, section: Optional[str] = None) -> None:
        """Forgets everything of the section, or (None) of these base files."""
        with self._guard:
            self._ram.clear()
            self._ram_size = 0
        condition = 'base = ?' if section is None else 'base = ? AND section = ?'
        values = (self._base,) if section is None else (self._base, section)
        self._database.run(lambda db: db.execute('DELETE FROM entries WHERE ' + condition, values), None)

    def list_sections(self) -> List[str]:
        return self._database.run(lambda db: [row[0] for row in db.execute(
            'SELECT DISTINCT section FROM entries WHERE base = ? ORDER BY 1', (self._base,))], [], False)

    def close(self) -> None:
        """Closes the file; it is opened again when needed."""
        self._database.close()

    def after_fork(self) -> None:
        self._guard = threading.Lock()

    def _warn(self, text: str) -> None:
        if self._warnings is not None:
            self._warnings(text)
            return
        from quick_server._log import server_msg  # not needed by caches outside of a server
        server_msg(text)

    def _current(self) -> bytes:
        """What the base files are now. If that is new, what was stored of their old state goes."""
        state = hashlib.sha256()
        for file in self._files:
            try:
                found = os.stat(file)
                state.update(f'{found.st_size} {found.st_mtime_ns} {found.st_ino};'.encode())
            except OSError:
                state.update(b'missing;')
        digest = state.digest()
        if digest != self._state:
            self._state = digest
            self._database.run(lambda db: db.execute(
                'DELETE FROM entries WHERE base = ? AND state != ?', (self._base, digest)), None)
        return digest

    def _load(self, key: bytes, state: bytes) -> Optional[bytes]:
        now = time.time()
        with self._guard:
            found = self._ram.get(key)
            if found is not None and found.state == state:
                self._ram.move_to_end(key)
        if found is not None and found.state == state:
            if now > found.noted + STALE:
                found.noted = now
                self._database.run(lambda db: _note_use(db, key, now), None)
            return found.data

        def action(db: sqlite3.Connection) -> List[Any]:
            _note_use(db, key, now)
            return db.execute('SELECT value FROM entries WHERE key = ? AND state = ?', (key, state)).fetchall()

        rows = self._database.run(action, [])
        if not rows:
            return None
        data: bytes = rows[0][0]
        self._remember(key, state, data)
        return data

    def _store(self, key: bytes, section: str, state: bytes, data: bytes) -> None:
        if self._quota is not None and len(data) > self._quota:
            return

        def action(db: sqlite3.Connection) -> None:
            db.execute('DELETE FROM entries WHERE key = ?', (key,))
            db.execute('INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)',
                       (key, section, self._base, state, data, len(data), time.time()))
            self._shrink(db)

        self._database.run(action, None)
        self._remember(key, state, data)

    def _shrink(self, db: sqlite3.Connection) -> None:
        if self._quota is None:
            return
        shrunk = False
        while True:
            over = db.execute('SELECT size FROM total').fetchone()[0] - self._quota
            if over <= 0:
                break
            shrunk = True
            going = []
            for key, size in db.execute('SELECT key, size FROM entries ORDER BY used LIMIT ?', (BATCH,)).fetchall():
                if over <= 0:
                    break
                going.append((key,))
                over -= size
            if not going:
                break  # the sum is wrong: better too much than for ever
            db.executemany('DELETE FROM entries WHERE key = ?', going)
        if shrunk:
            db.execute('PRAGMA incremental_vacuum').fetchall()

    def _remember(self, key: bytes, state: bytes, data: bytes) -> None:
        if len(data) > self._ram_quota:
            return
        with self._guard:
            # A worker's death may come between any two lines: then the sum is too large, never too small
            old = self._ram.pop(key, None)
            self._ram_size += len(data) - (len(old.data) if old else 0)
            self._ram[key] = _InMemory(state, data)
            while self._ram and self._ram_size > self._ram_quota:
                self._ram_size -= len(self._ram.popitem(last=False)[1].data)
            if not self._ram:
                self._ram_size = 0


class _InMemory:
    def __init__(self, state: bytes, data: bytes) -> None:
        self.state = state
        self.data = data
        self.noted = time.time()


def _note_use(db: sqlite3.Connection, key: bytes, now: float) -> None:
    db.execute('UPDATE entries SET used = ? WHERE key = ?', (now, key))


def _as_list(files: Union[str, Sequence[str], None]) -> List[str]:
    if files is None:
        return []
    return [files] if isinstance(files, (str, os.PathLike)) else list(files)


def _own_folder() -> str:
    import tempfile
    return os.path.join(tempfile.gettempdir(), f'quick_cache_{os.geteuid()}')


def _identity(obj: Any) -> bytes:
    try:
        return b'j' + json.dumps(obj, sort_keys=True).encode()
    except (TypeError, ValueError):
        return b'p' + pickle.dumps(obj)
