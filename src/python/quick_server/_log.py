"""Messages of the script and of the server: msg() and where it goes.

LONG_MSG and MSG_STDERR are read from the package each time, so that `quick_server.LONG_MSG = False` holds from
then on. A message is one write, so that those of several threads do not mix.
"""

import atexit
import os
import sys
import threading
from typing import IO, Any, Callable, Optional, Union

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_SHORT = '[SERVER] '
_LAST_LINE = 5.0  # seconds that another thread has for what it writes when the process ends

_lock = threading.Lock()
# Held at a fork, so that no thread is in the midst of a stream's buffer then: the child's copy would be locked for ever.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_log_file: Optional[IO[str]] = None
_ends = False


def _end() -> None:
    """From now on only the main thread writes: one that the interpreter ends in the midst of a stream's buffer keeps
    its lock, and the flush at the very end aborts the process. Threads that are no daemons have ended before."""
    global _ends
    _ends = True
    if _lock.acquire(timeout=_LAST_LINE):  # who has it has not seen that yet
        _lock.release()


atexit.register(_end)


def set_log_file(file: Union[None, str, IO[str]]) -> None:
    """Where messages and the access log go: an open text file, a path (appended to), None for standard error again.
    OSError if the path cannot be opened."""
    global _log_file
    _log_file = open(file, 'a', buffering=1, encoding='utf-8') if isinstance(file, str) else file


def _setting(name: str) -> Any:
    return getattr(sys.modules[__package__], name, True)


def _caller() -> str:
    """'file.py (line): ' of the innermost frame that is not ours."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return _SHORT
    return '%s (%d): ' % (os.path.basename(frame.f_code.co_filename), frame.f_lineno)


def write(text: str) -> None:
    """Whole lines to where messages go. A stream that cannot be written to is no reason to end a server: the lines
    are lost then."""
    files = [_log_file or sys.stderr]
    if _log_file is not None and _log_file is not sys.stderr and _setting('MSG_STDERR'):
        files.append(sys.stderr)
    with _lock:
        if _ends and threading.current_thread() is not threading.main_thread():
            return
        for file in files:
            try:
                file.write(text)
                file.flush()
            except (OSError, ValueError, AttributeError):
                pass  # a full disk, a closed file, no standard error at all


def _prefixed(head: str, text: str) -> str:
    return ''.join('%s%s\n' % (head, line) for line in text.split('\n'))


def msg(message: Any, *args: Any, **kwargs: Any) -> None:
    """Logs a message, each of its lines with 'file.py (line): ' of the caller in front, or '[SERVER] ' if
    quick_server.LONG_MSG is False. With more arguments, `message` is a format string for str.format()."""
    text = str(message).format(*args, **kwargs) if args or kwargs else str(message)
    write(_prefixed(_caller() if _setting('LONG_MSG') else _SHORT, text))


def server_msg(text: str) -> None:
    """What the server itself has to say, without a caller."""
    write(_prefixed(_SHORT, text))


def debug(function: Callable[[], Any]) -> None:
    """Logs what `function` returns, which is called only if the variable QUICK_SERVER_DEBUG is 1."""
    if os.environ.get('QUICK_SERVER_DEBUG') == '1':
        head = _caller() if _setting('LONG_MSG') else _SHORT
        write(_prefixed(head, '[DEBUG] %s' % (function(),)))
