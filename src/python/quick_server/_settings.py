"""The attributes of the server that a script may set, before and while it serves.

Each is checked and told to the engine at once; a value that is refused (ValueError, TypeError) leaves the old one.
"""

import os
from typing import Any, Callable, Dict, Optional, Union

from quick_server import _slow
from quick_server._engine import Engine

ForEngine = Callable[['Settings', Any], Dict[str, Any]]


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


def _number(name: str, for_engine: Optional[str] = None) -> ForEngine:
    """for_engine: the engine's name for it; '': it is none of the engine's."""
    def convert(server: 'Settings', value: Any) -> Dict[str, Any]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError('%s is a number, not %r' % (name, value))
        if not value >= 0:
            raise ValueError('%s is not %r' % (name, value))
        return {} if for_engine == '' else {for_engine or name: value}
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
    max_file_size = Setting(50 << 20, _number('max_file_size', 'max_body'))  # bytes of a request's body; 413 beyond
    max_chunk_size = Setting(10 << 20, _number('max_chunk_size', ''))        # bytes of a worker's result in one piece
    shutdown_latency = Setting(0.1, _number('shutdown_latency', ''))         # seconds that answers have at the end
    no_command_loop = Setting(False)
    history_file = Setting('.cmd_history')                           # of the prompt; relative to base_path
    prompt = Setting('> ')
    cache = Setting(None)                                            # for workers with a cache_id
    verbose_workers = Setting(False)

    # Limits of the engine, see src/http/settings.hpp: bytes, numbers, seconds
    max_target = Setting(8 << 10, _number('max_target'))
    max_header = Setting(32 << 10, _number('max_header'))
    max_fields = Setting(100, _number('max_fields'))
    max_chunk_line = Setting(256, _number('max_chunk_line'))
    spool_size = Setting(1 << 20, _number('spool_size'))
    max_connections = Setting(20000, _number('max_connections'))
    max_pending = Setting(1000, _number('max_pending'))
    require_length = Setting(False, _flag('require_length'))
    handshake_timeout = Setting(10.0, _number('handshake_timeout'))
    header_timeout = Setting(10.0, _number('header_timeout'))
    body_timeout = Setting(20.0, _number('body_timeout'))
    body_min_rate = Setting(100.0, _number('body_min_rate'))
    idle_timeout = Setting(75.0, _number('idle_timeout'))
    write_timeout = Setting(30.0, _number('write_timeout'))
    connect_timeout = Setting(5.0, _number('connect_timeout'))
    proxy_timeout = Setting(60.0, _number('proxy_timeout'))
    drain_timeout = Setting(30.0, _number('drain_timeout'))

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
