"""What has to be made anew in the child of a fork: locks that no thread is left to let go, the parent's files.

Such objects are told by their after_fork(), in the child, before anything else runs there. They are not kept alive by
this.
"""

import os
import weakref
from typing import Any

_objects: 'weakref.WeakSet[Any]' = weakref.WeakSet()


def tell_after_fork(obj: Any) -> None:
    """obj.after_fork() is called in each child."""
    _objects.add(obj)


def _after_fork() -> None:
    for obj in list(_objects):
        obj.after_fork()


os.register_at_fork(after_in_child=_after_fork)
