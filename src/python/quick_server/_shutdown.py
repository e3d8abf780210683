"""What is done when SIGINT or SIGTERM ends the process."""

import signal
import sys
import threading
from typing import Any, Callable, List

from quick_server._errors import report_error

STATUS = 130  # 128 + SIGINT, for both signals

_hooks = []  # type: List[Callable[[], Any]]


def add_shutdown_hook(function: Callable[[], Any]) -> None:
    """Has `function` called, without arguments, at SIGINT and SIGTERM after setup_shutdown(): the last one first.
    What it raises is logged."""
    if not callable(function):
        raise TypeError('the shutdown hook %r cannot be called' % (function,))
    _hooks.append(function)


def _shut_down(*_: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end has begun; nothing begins it twice
    while _hooks:
        try:
            _hooks.pop()()
        except Exception as error:
            report_error('shutdown hook', error)
    sys.exit(STATUS)


def interrupt() -> bool:
    """Has the main thread do what setup_shutdown() has set up for SIGTERM; False if there is nothing. Any thread."""
    if signal.getsignal(signal.SIGTERM) is not _shut_down:
        return False
    main = threading.main_thread().ident  # another thread would take it while that one is on its way to sleep
    if main is not None:
        signal.pthread_kill(main, signal.SIGTERM)
    return main is not None


def setup_shutdown() -> None:
    """Has SIGINT and SIGTERM call the hooks in reverse order and end the process with status 130. Main thread only,
    else ValueError."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _shut_down)
