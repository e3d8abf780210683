"""What has to be made anew in the child of a fork: locks that no thread is left to let go, the parent's files.

Such objects are told by their after_fork(), in the child, before anything else runs there. They are not kept alive by
this.
"""

import os
import threading
import weakref
from typing import Any

_objects: 'weakref.WeakSet[Any]' = weakref.WeakSet()
_locks: 'weakref.WeakSet[Any]' = weakref.WeakSet()
_held = threading.local()  # by the thread that forks: several may
_WAIT = 1.0  # seconds for each lock; not longer, as their threads may wait for one another's


def tell_after_fork(obj: Any) -> None:
    """obj.after_fork() is called in each child."""
    _objects.add(obj)


class ForkLock:
    """A reentrant lock for `with`. A fork waits until it has it: what it protects is at rest in the child, even if
    that has locks that nobody can reach."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: Any) -> None:
        self._lock.release()

    def acquire(self, timeout: float) -> bool:
        return self._lock.acquire(timeout=timeout)

    def renew(self) -> None:
        self._lock = threading.RLock()


def _before_fork() -> None:
    _held.locks = [lock for lock in list(_locks) if lock.acquire(_WAIT)]


def _in_parent() -> None:
    for lock in _held.locks:
        lock.__exit__()


def _in_child() -> None:
    for lock in list(_locks):
        lock.renew()
    for obj in list(_objects):
        obj.after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
