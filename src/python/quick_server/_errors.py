"""Exceptions of handlers, commands and workers: to the log, and to who has asked for them."""

import os
import traceback
from types import TracebackType
from typing import Any, Callable, List, Optional

from quick_server._log import server_msg

ErrorHandler = Callable[[str, str, List[str]], Any]

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

_handler = None  # type: Optional[ErrorHandler]


def set_global_error_handler(function: Optional[ErrorHandler]) -> None:
    """Calls function(source, message, lines of the traceback) for each exception that the server has caught, on the
    thread that it was raised on, after it has been logged. None: nobody is called."""
    global _handler
    _handler = function


def describe(error: BaseException) -> str:
    """'Type: message'."""
    try:
        text = str(error)
    except Exception:  # its own __str__ fails; this is what tracebacks have then
        text = '<exception str() failed>'
    return '%s: %s' % (type(error).__name__, text) if text else type(error).__name__


def _without_ours(trace: Optional[TracebackType]) -> Optional[TracebackType]:
    """From the first frame on that is not of this package; all of it if there is none."""
    start = trace
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_HERE):
        start = start.tb_next
    return start or trace


def report_error(source: str, error: BaseException) -> None:
    """Logs an exception that ends here; `source` says where it has come from, e.g. 'GET /path'. Raises nothing."""
    trace = _without_ours(error.__traceback__)
    lines = ''.join(traceback.format_exception(type(error), error, trace)).rstrip('\n').split('\n')
    server_msg('error in %s:\n%s' % (source, '\n'.join(lines)))
    if _handler is None:
        return
    try:
        _handler(source, describe(error), lines)
    except Exception:
        server_msg('error in the error handler:\n' + traceback.format_exc().rstrip('\n'))
