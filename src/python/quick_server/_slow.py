"""The three forms of server.report_slow_requests."""

from typing import Any, Callable, Tuple, Union

from quick_server._log import server_msg

DEFAULT = 5.0  # seconds

Report = Callable[[str, str, float, bool], Any]
SlowRequests = Union[bool, Report, Tuple[float, Report]]


def report(method: str, path: str, seconds: float, done: bool) -> None:
    """What is reported where the script has no report of its own: once, while the request runs."""
    if not done:
        server_msg('request takes longer than expected: "%s %s"' % (method, path))


def seconds_and_report(value: Any) -> Tuple[float, Report]:
    """After how long what is called; 0 seconds: never. TypeError or ValueError if the value is none of
    False, True, a callable, (seconds, callable)."""
    if callable(value):
        return DEFAULT, value
    if isinstance(value, tuple):
        seconds, function = value
        if not seconds > 0:
            raise ValueError('report_slow_requests: %r is no time in seconds' % (seconds,))
        if not callable(function):
            raise TypeError('report_slow_requests: %r cannot be called' % (function,))
        return float(seconds), function
    if value in (None, False, True):
        return (DEFAULT if value else 0.0), report
    raise TypeError('report_slow_requests is a bool, a callable or (seconds, callable)')
