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
    """A reentrant lock, for `with lock.raw`. A fork waits until it has it: what it protects is at rest in the child,
    even if that has locks that nobody can reach.

    `raw` is a lock of C, as a worker's death (_jobs) may come right after any call: between the taking of such a lock
    and the block there is none, in an __enter__() of Python there would be."""

    def __init__(self) -> None:
        self.raw: Any = threading.RLock()
        _locks.add(self)


def is_mine(lock: Any) -> bool:
    """Whether this thread has the RLock."""
    return bool(lock._is_owned())  # CPython 3.8 to 3.13; threading.Condition needs it, too


def _before_fork() -> None:
    _held.locks = locks = []
    for lock in [lock.raw for lock in list(_locks)]:
        if not is_mine(lock):
            locks.append(lock)  # before it is taken: a worker's death may come in between
            lock.acquire(timeout=_WAIT)


def _in_parent() -> None:
    try:
        _let_go()
    finally:
        _let_go()  # a death, which comes once, has cut the first one short: this one is whole
        _held.locks = []


def _let_go() -> None:
    for lock in getattr(_held, 'locks', ()):
        if is_mine(lock):
            lock.release()


def _in_child() -> None:
    _held.locks = []
    for lock in list(_locks):
        lock.raw = threading.RLock()
    for obj in list(_objects):
        obj.after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
