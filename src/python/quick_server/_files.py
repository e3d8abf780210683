"""Which files a path stands for, and what else than files a path can be: other servers."""

import os
import shutil
import threading
import time
from typing import Any, Callable, List, Optional, Sequence

from quick_server._engine import Engine
from quick_server._log import server_msg

_HERE = os.path.dirname(os.path.abspath(__file__))
_MIRROR_INTERVAL = 0.5  # seconds between looks at a mirrored file

DEFAULT_WHITE_LIST = [
    '*.css', '*.csv', '*.eot', '*.gif', '*.htm', '*.html', '*.ico', '*.jpeg', '*.jpg', '*.js', '*.json', '*.md',
    '*.otf', '*.pdf', '*.png', '*.svg', '*.tsv', '*.ttf', '*.txt', '*.woff', '*.woff2']


def _checked(name: str) -> str:
    if not (name.startswith('/') and name.endswith('/')):
        raise ValueError("name must start and end with '/': %s" % name)
    return name


def _identity(path: str) -> Any:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copy(source: str, target: str) -> None:
    """Whole or not at all for whoever reads `target`."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    fresh = '%s.%d~' % (target, os.getpid())
    try:
        shutil.copyfile(source, fresh)
        os.replace(fresh, target)
    except OSError:
        if os.path.exists(fresh):
            os.unlink(fresh)
        raise


def _keep_mirrored(source: str, target: str, known: Any) -> None:
    while True:
        time.sleep(_MIRROR_INTERVAL)
        now = _identity(source)
        if now is not None and now != known:
            try:
                _copy(source, target)
            except OSError as error:
                server_msg('cannot mirror %s to %s: %s' % (source, target, error))
            known = now


def _resolving(hook: Callable[[str], Optional[str]], absolute: Callable[..., str]) -> Callable[[str], Optional[str]]:
    def resolve(path: str) -> Optional[str]:
        file = hook(path)
        return None if file is None else absolute(file)
    return resolve


class Files:
    _engine: Engine
    absolute: Callable[..., str]

    def _set_up_files(self) -> None:
        self._white = []  # type: List[str]
        self._black = []  # type: List[str]

    def bind_path(self, name: str, folder: str) -> None:
        """Serves the files of a folder (relative to base_path) below `name`, which begins and ends with "/", else
        ValueError. Of several folders with such a file the one that was bound last is taken."""
        self._engine.bind_path(_checked(name), self.absolute(folder))

    def bind_path_fallback(self, name: str, folder: str) -> None:
        """The same, asked after all others."""
        self._engine.bind_path(_checked(name), self.absolute(folder), True)

    def bind_proxy(self, name: str, url: str) -> None:
        """What is below `name` and neither a handler's nor an existing file's is asked of another server: what
        follows the name is appended to its URL. ValueError for what is no URL or name."""
        self._engine.bind_proxy(_checked(name), url)

    def set_debug_proxy(self, is_debug: bool) -> None:
        """Logs each request that is passed on."""
        self._engine.configure(debug_proxy=bool(is_debug))

    def add_file_patterns(self, patterns: Sequence[str], blacklist: bool = False) -> None:
        """Files of which the absolute path matches none of the white list's patterns (fnmatch(3)), unless that is
        empty, or one of the black list's, are 404."""
        if isinstance(patterns, str):
            raise TypeError('patterns are a list, not the str %r' % patterns)
        (self._black if blacklist else self._white).extend(patterns)
        self._engine.configure(white=list(self._white), black=list(self._black))

    def add_default_white_list(self) -> None:
        """Allows the usual files of web pages."""
        self.add_file_patterns(DEFAULT_WHITE_LIST)

    def link_empty_favicon_fallback(self) -> None:
        """Answers requests for a favicon that is not there with an empty one."""
        self._engine.configure(favicon_empty=True)

    def add_special_file(self, mask: str, path: str, from_quick_server: bool, ctype: Optional[str] = None) -> None:
        """A file of any place at the path `mask`; `path` is relative to this package's directory if
        from_quick_server, else to base_path."""
        self._engine.special(mask, self._source(path, from_quick_server), None, ctype or '')

    def mirror_file(self, path_to: str, path_from: str, from_quick_server: bool = True) -> None:
        """Copies path_from to path_to (relative to base_path), now and as often as it changes while the server
        runs. OSError if it cannot be copied now."""
        source, target = self._source(path_from, from_quick_server), self.absolute(path_to)
        known = _identity(source)
        _copy(source, target)
        threading.Thread(target=_keep_mirrored, args=(source, target, known), daemon=True).start()

    def _source(self, path: str, from_quick_server: bool) -> str:
        return os.path.join(_HERE, path) if from_quick_server else self.absolute(path)

    def set_file_fallback_hook(self, hook: Optional[Callable[[str], Optional[str]]]) -> None:
        """Called with the path where there is no handler, file or proxy for it; returns a file to send, or None."""
        self._engine.set_fallback(None if hook is None else _resolving(hook, self.absolute))
