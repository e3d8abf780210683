"""The attributes of the server that a script may set, before and while it serves.

Each is checked and told to the engine at once; a value that is refused (ValueError, TypeError) leaves the old one.
"""

import os
from typing import Any, Callable, Dict, Optional, Union

from quick_server import _slow
from quick_server._engine import Engine

ForEngine = Callable[['Settings', Any], Dict[str, Any]]

# Limits of src/http/settings.hpp with their defaults, in bytes, numbers, seconds.
LIMITS = {
    'max_target': 8 << 10, 'max_header': 32 << 10, 'max_fields': 100, 'max_chunk_line': 256, 'spool_size': 1 << 20,
    'max_connections': 20000, 'max_pending': 1000, 'handshake_timeout': 10.0, 'header_timeout': 10.0,
    'body_timeout': 20.0, 'body_min_rate': 100.0, 'idle_timeout': 75.0, 'write_timeout': 30.0, 'connect_timeout': 5.0,
    'proxy_timeout': 60.0, 'drain_timeout': 30.0,
}  # type: Dict[str, Union[int, float]]


class Setting:
    """An attribute with a default; `for_engine` makes of a value what the engine is told."""

    def __init__(self, default: Any, for_engine: Optional[ForEngine] = None) -> None:
        self.default = default
        self.for_engine = for_engine

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Optional['Settings'], owner: Optional[type] = None) -> Any:
        if instance is None:
            return self
        return instance._values.get(self.name, self.default)

    def __set__(self, instance: 'Settings', value: Any) -> None:
        if self.for_engine is not None:
            instance._engine.configure(**self.for_engine(instance, value))
        instance._values[self.name] = value


def _flag(name: str) -> ForEngine:
    return lambda server, value: {name: bool(value)}


def _number(name: str) -> ForEngine:
    def convert(server: 'Settings', value: Any) -> Dict[str, Any]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError('%s is a number, not %r' % (name, value))
        if not value >= 0:
            raise ValueError('%s is not %r' % (name, value))
        return {name: value}
    return convert


def _favicon(server: 'Settings', value: Any) -> Dict[str, Any]:
    return {'favicon': '' if value is None else server.absolute(value)}


def _slow_requests(server: 'Settings', value: Any) -> Dict[str, Any]:
    seconds, function = _slow.seconds_and_report(value)
    return {'report_slow': seconds, 'slow': function}


class Settings:
    _engine: Engine

    favicon_fallback = Setting(None, _favicon)                       # path of a file
    favicon_everywhere = Setting(True, _flag('favicon_everywhere'))  # for every path that ends in /favicon.ico
    suppress_noise = Setting(False, _flag('suppress_noise'))         # no log line for 200 and 304
    report_slow_requests = Setting(False, _slow_requests)            # bool, f(method, path, time, done), (seconds, f)
    cross_origin = Setting(False, _flag('cross_origin'))             # answers may be read by pages of other origins
    directory_listing = Setting(False, _flag('directory_listing'))
    compress = Setting(True, _flag('compress'))                      # gzip where the client takes it and it pays
    max_age = Setting(0, _number('max_age'))                         # seconds, in Cache-Control
    max_file_size = Setting(50 << 20, _number('max_body'))           # bytes of a request's body; 413 beyond
    max_chunk_size = Setting(10 << 20)                               # bytes of a worker's result in one piece
    shutdown_latency = Setting(0.1)                                  # seconds that answers have at the end
    no_command_loop = Setting(False)
    history_file = Setting('.cmd_history')                           # of the prompt; relative to base_path
    prompt = Setting('> ')
    cache = Setting(None)                                            # for workers with a cache_id
    verbose_workers = Setting(False)

    def _set_up_settings(self) -> None:
        self._values = {}  # type: Dict[str, Any]
        self.base_path = os.getcwd()
        for kind in reversed(type(self).__mro__):
            for name, setting in vars(kind).items():
                if isinstance(setting, Setting):
                    setattr(self, name, setting.default)

    def absolute(self, path: Union[str, 'os.PathLike[str]']) -> str:
        """A path of the script's, which is relative to base_path."""
        return os.path.abspath(os.path.join(self.base_path, os.fspath(path)))


def _add_limits() -> None:
    for name, default in LIMITS.items():
        setting = Setting(default, _number(name))
        setting.__set_name__(Settings, name)
        setattr(Settings, name, setting)


_add_limits()
