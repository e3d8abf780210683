"""Tokens: keys that a script hands out, each with a dict on the server, until it has not been used for its time.

In memory (DefaultTokenHandler) or in a file (DiskTokenHandler), where they outlive the process. What a script does
with the dict is the same:

    obj = server.get_token_obj(token)            # changes it, whenever
    with server.get_token_obj(token) as obj:     # nobody else is in such a block of this token meanwhile

In a file: a token's items are rows, so that two processes (one drains, its successor serves) that change different
items do not undo each other. What has changed is found by comparing with what was read, at the end of a `with` block,
when a dict is let go (its destructor: at the end of a handler), when it is asked for again, and at exit. Within a
process there is one dict a token as long as anyone has it. Values are pickled; one that cannot be is in this
process's memory only. The file must be the user's alone (Database): whoever can write to it could run code by it.
"""

import atexit
import collections
import contextlib
import pickle
import sqlite3
import threading
import time
import weakref
from typing import Any, Callable, ContextManager, Deque, Dict, Iterator, List, Optional, Tuple

from quick_server._database import Database
from quick_server._forked import tell_after_fork
from quick_server._locks import KeyLocks

DEFAULT_EXPIRE = 3600.0  # seconds
LOCK_SECONDS = 10.0  # that a `with` block waits for that of another process

Log = Callable[[str], None]


def create_token() -> str:
    """A new name for a token: 32 hexadecimal digits that nobody can guess. Nothing is kept of it yet."""
    import uuid  # not by whoever only imports this package
    return uuid.uuid4().hex


class TokenObj(Dict[Any, Any]):
    """A token's dict; in a `with` block this thread's alone, among those that use such blocks."""

    def __init__(self, handler: 'TokenHandler', token: str, readonly: bool = False) -> None:
        super().__init__()
        self._handler = handler
        self._token = token
        self._readonly = readonly
        # DiskTokenHandler: pickled name to what the file has, and what pickle makes of it now (not always the same).
        self._stored: Dict[bytes, Tuple[bytes, bytes]] = {}
        self._blocks: List[ContextManager[None]] = []

    def __enter__(self) -> 'TokenObj':
        block = self._handler.block(self)
        block.__enter__()
        self._blocks.append(block)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._blocks.pop().__exit__(None, None, None)

    def __del__(self) -> None:
        if self._stored or self:
            self._handler.let_go(self)


class TokenHandler:
    """Where tokens are. All methods: any thread. expire: seconds from now; None: never; <= 0: deleted."""

    def get(self, token: str, expire: Optional[float], readonly: bool = False) -> TokenObj:
        """The token's dict, a new one where there is none; counts as a use. readonly: a copy that nothing is kept
        of, and no token is made by it."""
        raise NotImplementedError

    def delete(self, token: str) -> None:
        raise NotImplementedError

    def tokens(self) -> List[str]:
        """All that have not expired."""
        raise NotImplementedError

    def ttl(self, token: str) -> Optional[float]:
        """Seconds that it has left; None: does not expire; 0: there is no such token."""
        raise NotImplementedError

    def block(self, obj: TokenObj) -> ContextManager[None]:
        """What a `with` block of the dict is in."""
        raise NotImplementedError

    def let_go(self, obj: TokenObj) -> None:
        """Nobody has the dict any more."""

    def close(self) -> None:
        """Writes what is to be kept. It can be used again afterwards."""


def _until(now: float, expire: Optional[float]) -> Optional[float]:
    return None if expire is None else now + expire


class DefaultTokenHandler(TokenHandler):
    """Tokens in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.RLock()
        self._tokens: Dict[str, Tuple[TokenObj, Optional[float]]] = {}
        self._locks = KeyLocks(None)
        self._swept = 0.0
        tell_after_fork(self)

    def after_fork(self) -> None:
        self._guard = threading.RLock()

    def get(self, token: str, expire: Optional[float], readonly: bool = False) -> TokenObj:
        with self._guard:
            self._sweep()
            if expire is not None and expire <= 0:
                self.delete(token)
                return TokenObj(self, token, True)
            found = self._find(token)
            if found is None and readonly:
                return TokenObj(self, token, True)
            obj = found[0] if found else TokenObj(self, token)
            self._tokens[token] = (obj, _until(self._clock(), expire))
            if not readonly:
                return obj
            copy = TokenObj(self, token, True)
            copy.update(obj)
            return copy

    def delete(self, token: str) -> None:
        with self._guard:
            self._tokens.pop(token, None)

    def tokens(self) -> List[str]:
        with self._guard:
            return [token for token in list(self._tokens) if self._find(token)]

    def ttl(self, token: str) -> Optional[float]:
        with self._guard:
            found = self._find(token)
            if found is None:
                return 0.0
            return None if found[1] is None else found[1] - self._clock()

    def take(self, token: str) -> Dict[Any, Any]:
        """Its items, and the token is gone."""
        with self._guard:
            found = self._find(token)
            self._tokens.pop(token, None)
            return found[0] if found else {}

    def block(self, obj: TokenObj) -> ContextManager[None]:
        return self._locks.hold(obj._token.encode('utf-8', 'surrogatepass'))

    def _find(self, token: str) -> Optional[Tuple[TokenObj, Optional[float]]]:
        found = self._tokens.get(token)
        if found is not None and found[1] is not None and found[1] <= self._clock():
            del self._tokens[token]
            return None
        return found

    def _sweep(self) -> None:
        """Removes what has expired, at most once a second: each look costs a pass over all."""
        now = self._clock()
        if now >= self._swept + 1:
            self._swept = now
            for token in list(self._tokens):
                self._find(token)


_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, until REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tokens_until ON tokens (until);
CREATE TABLE IF NOT EXISTS items (token TEXT REFERENCES tokens ON DELETE CASCADE, name BLOB, value BLOB,
                                  PRIMARY KEY (token, name)) WITHOUT ROWID;
PRAGMA foreign_keys = ON;
"""


class DiskTokenHandler(TokenHandler):
    """Tokens in a file, which processes may use at the same time. Where it cannot be used: in memory.
    In the child of a fork (a job with isolate=True) tokens are its own and empty."""

    def __init__(self, path: str, log: Optional[Log] = None) -> None:
        self._log = log or (lambda text: None)
        self._database = Database(path, _SCHEMA, self._tell, precious=True)
        self._locks = KeyLocks(self._database.path + '-lock')
        self._live: 'weakref.WeakValueDictionary[str, TokenObj]' = weakref.WeakValueDictionary()
        self._guard = threading.RLock()
        self._late: Deque[Tuple[str, Dict[bytes, bytes]]] = collections.deque()
        self._memory = DefaultTokenHandler()
        self._unfit = False
        atexit.register(self.close)
        tell_after_fork(self)

    def _tell(self, text: str) -> None:
        self._log(text)

    def set_log(self, log: Log) -> None:
        """Where trouble is told from now on."""
        self._log = log

    def after_fork(self) -> None:
        self._guard = threading.RLock()
        self._live = weakref.WeakValueDictionary()
        self._late.clear()

    def get(self, token: str, expire: Optional[float], readonly: bool = False) -> TokenObj:
        if expire is not None and expire <= 0:
            self.delete(token)
            return TokenObj(self._memory, token, True)
        with self._guard:
            obj = None if readonly else self._live.get(token)
            if obj is None:
                obj = TokenObj(self, token, readonly)
            if not self._synchronize(obj, _until(time.time(), expire), not readonly):
                return self._memory.get(token, expire, readonly)
            if not readonly:
                self._live[token] = obj
                obj.update(self._memory.take(token))  # from when the file could not be used
        return obj

    def delete(self, token: str) -> None:
        with self._guard:
            live = self._live.pop(token, None)
            if live is not None:
                live._readonly = True
        self._memory.delete(token)
        self._database.run(lambda db: db.execute('DELETE FROM tokens WHERE token = ?', (token,)), None)

    def tokens(self) -> List[str]:
        rows: List[Any] = self._database.run(lambda db: db.execute(
            'SELECT token FROM tokens WHERE until IS NULL OR until > ?', (time.time(),)).fetchall(), [], False)
        return sorted({row[0] for row in rows}.union(self._memory.tokens()))

    def ttl(self, token: str) -> Optional[float]:
        rows: List[Any] = self._database.run(lambda db: db.execute(
            'SELECT until FROM tokens WHERE token = ?', (token,)).fetchall(), [], False)
        if not rows:
            return self._memory.ttl(token)
        return None if rows[0][0] is None else max(0.0, rows[0][0] - time.time())

    @contextlib.contextmanager
    def block(self, obj: TokenObj) -> Iterator[None]:
        with self._locks.hold(obj._token.encode('utf-8', 'surrogatepass'), LOCK_SECONDS):
            self._exchange(obj)  # what another process has done until now
            try:
                yield
            finally:
                self._exchange(obj)

    def let_go(self, obj: TokenObj) -> None:
        """From a destructor, so perhaps in the midst of a transaction of this thread: then it is done later."""
        try:
            changed = {} if obj._readonly else _changed(obj, self._is_unfit)
            if changed:
                self._late.append((obj._token, changed))
            if changed and not self._database.inside():
                self._write_late()
        except Exception as error:  # nobody is there to catch it
            self._tell(f'token: {error}')

    def close(self) -> None:
        with self._guard:
            for obj in list(self._live.values()):
                self._exchange(obj)
            self._write_late()
            self._database.close()

    def _write_late(self) -> None:
        while self._late:
            try:
                token, changed = self._late.popleft()
            except IndexError:
                return  # another thread was first
            self._database.run(lambda db: _write(db, token, changed), None)

    def _exchange(self, obj: TokenObj) -> None:
        if not obj._readonly:
            with self._guard:
                self._synchronize(obj, 0.0, False)

    def _synchronize(self, obj: TokenObj, until: Optional[float], make: bool) -> bool:
        """Writes what has changed in the dict, reads what has changed in the file. until: the new time, 0: as it was.
        make: also a token that is not there. False: the file cannot be used."""
        written = {} if obj._readonly else _changed(obj, self._is_unfit)

        def action(db: sqlite3.Connection) -> Tuple[bool, List[Tuple[bytes, bytes]]]:
            if not _renew(db, obj._token, until, make):
                return False, []
            _write(db, obj._token, written)
            return True, db.execute('SELECT name, value FROM items WHERE token = ?', (obj._token,)).fetchall()

        done = self._database.run(action, None)
        if done is not None and done[0]:
            obj._stored.update((name, (value, value)) for name, value in written.items())
            self._take(obj, dict(done[1]))
        if not self._database.inside():
            self._write_late()
        return done is not None

    def _take(self, obj: TokenObj, rows: Dict[bytes, bytes]) -> None:
        """Makes the dict what the file has, where that differs from what was last read or written."""
        for name in [name for name in obj._stored if name not in rows]:
            obj.pop(pickle.loads(name), None)
            del obj._stored[name]
        for name, value in rows.items():
            if name in obj._stored and obj._stored[name][0] == value:
                continue
            try:
                item = pickle.loads(value)
                obj[pickle.loads(name)] = item
                obj._stored[name] = (value, pickle.dumps(item))
            except Exception as error:  # a class that the new script has no more
                self._is_unfit(f'{obj._token}: an item cannot be read: {error!r}')

    def _is_unfit(self, text: str) -> None:
        if not self._unfit:
            self._unfit = True
            self._tell(f'token {text}')


def _changed(obj: TokenObj, unfit: Callable[[str], None]) -> Dict[bytes, bytes]:
    """Pickled items that differ from what is stored; for removed ones an empty value."""
    changed: Dict[bytes, bytes] = {}
    present = set()
    for key, item in list(obj.items()):
        try:
            name = pickle.dumps(key)
            present.add(name)
            value = pickle.dumps(item)
        except Exception as error:  # whatever a class's own methods raise
            unfit(f'item {key!r} cannot be kept on disk: {error!r}')
            continue
        if name not in obj._stored or obj._stored[name][1] != value:
            changed[name] = value
    changed.update((name, b'') for name in obj._stored if name not in present)
    return changed


def _renew(db: sqlite3.Connection, token: str, until: Optional[float], make: bool) -> bool:
    now = time.time()
    db.execute('DELETE FROM tokens WHERE until <= ?', (now,))
    there = db.execute('SELECT until FROM tokens WHERE token = ?', (token,)).fetchone()
    if not there:
        if make:
            db.execute('INSERT INTO tokens VALUES (?, ?)', (token, until))
        return make
    if until != 0.0 and (until is None or there[0] is None or abs(there[0] - until) > 0.01):
        db.execute('UPDATE tokens SET until = ? WHERE token = ?', (until, token))
    return True


def _write(db: sqlite3.Connection, token: str, changed: Dict[bytes, bytes]) -> None:
    """Nothing where the token is gone: deleted, or expired, while someone still had its dict."""
    if not changed or not db.execute('SELECT 1 FROM tokens WHERE token = ?', (token,)).fetchone():
        return
    for name, value in changed.items():
        if value:
            db.execute('INSERT OR REPLACE INTO items VALUES (?, ?, ?)', (token, name, value))
        else:
            db.execute('DELETE FROM items WHERE token = ? AND name = ?', (token, name))
