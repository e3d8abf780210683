"""Methods of the server for tokens, workers, and the JavaScript that goes with them."""

import threading
import time
from typing import Any, Callable, Dict, List, Optional, TypeVar

from quick_server import _engine
from quick_server._errors import report_error
from quick_server._log import server_msg
from quick_server._tokens import (DEFAULT_EXPIRE, DefaultTokenHandler, DiskTokenHandler, TokenHandler, TokenObj,
                                  create_token)
from quick_server._workers import BaseWorker, DefaultWorker, WorkerOptions

Function = TypeVar('Function', bound=Callable[[Any], Any])

WORKER_JS = 'worker.js'  # beside this file
MAX_TOKEN = 256  # characters of a token's name
_FINISH_LOOK = 0.1  # seconds
_FINISH_TELL = 5.0  # seconds
_FINISH_GRACE = 1.0  # seconds that the answer with the last result has to leave
_UNSET = object()


class WorkerMethods:
    max_workers = 1000  # jobs that are running, or whose results are kept; more are answered 503

    # Of the other parts of the server
    cache: Any
    max_chunk_size: Any
    verbose_workers: Any
    drain_timeout: Any
    _supervisor: Any
    _engine: '_engine.Engine'
    add_json_post_mask: Callable[..., None]
    add_special_file: Callable[..., None]
    mirror_file: Callable[..., None]
    absolute: Callable[[str], str]

    def _set_up_workers(self, token_handler: Optional[TokenHandler],
                        worker_constructor: Optional[Callable[..., BaseWorker]], soft_worker_death: bool,
                        thread_factory: Optional[Callable[..., threading.Thread]] = None) -> None:
        """Called once, at the end of QuickServer.__init__: what create_server() was given for workers."""
        self._tokens = token_handler if token_handler is not None else DefaultTokenHandler()
        self._token_expire: Optional[float] = DEFAULT_EXPIRE
        self._token_file: Optional[str] = None
        self._worker_constructor = worker_constructor or DefaultWorker
        self._worker_threads = thread_factory or threading.Thread
        self._worker_masks: Dict[str, BaseWorker] = {}
        self.soft_worker_death = soft_worker_death

    # Tokens

    @property
    def token_file(self) -> Optional[str]:
        """A file where tokens are kept, so that they outlive this process; relative to base_path. None: in memory. Is
        set before tokens are used: those that there are stay where they were."""
        return self._token_file

    @token_file.setter
    def token_file(self, path: Optional[str]) -> None:
        self._tokens.close()
        self._tokens = DefaultTokenHandler() if path is None else DiskTokenHandler(self.absolute(path), server_msg)
        self._token_file = path

    def create_token(self) -> str:
        """A new token's name, which nobody can guess. It has an object once that is asked for."""
        return create_token()

    def get_token_obj(self, token: str, expire: Any = _UNSET, readonly: bool = False) -> TokenObj:
        """The token's dict, made if it is not there. It may be used in a `with` block, which other threads (and
        processes) that use such a block of this token do not enter meanwhile. Each call renews the time after which
        it is deleted: `expire` seconds, the default if that is not given; None: never; <= 0 deletes it now. readonly:
        a copy."""
        name = str(token)
        if len(name) > MAX_TOKEN:
            raise ValueError(f'a token has at most {MAX_TOKEN} characters, not {len(name)}')
        return self._tokens.get(name, self._token_expire if expire is _UNSET else expire, readonly)

    def get_default_token_expiration(self) -> Optional[float]:
        """Seconds; None: tokens do not expire."""
        return self._token_expire

    def set_default_token_expiration(self, expire: Optional[float]) -> None:
        self._token_expire = expire

    def get_tokens(self) -> List[str]:
        """The names of all tokens that there are."""
        return self._tokens.tokens()

    def get_token_ttl(self, token: str) -> Optional[float]:
        """Seconds that the token has left; None: it does not expire; 0: there is no such token."""
        return self._tokens.ttl(str(token))

    # Workers

    def json_worker(self, mask: str, cache_id: Optional[Callable[[Any], Any]] = None, cache_method: str = 'string',
                    cache_section: str = 'www', isolate: bool = False) -> Callable[[Function], Function]:
        """A decorator: function(payload) computes in a thread of its own, started by a POST to the mask by worker.js
        or worker_request(); what it returns is dumped as JSON. cache_id(payload): what names the result in
        server.cache (None: this one is not cached). isolate: it computes in a fork of this process, which a stop
        kills; nothing that it changes in memory is seen here, and caches and tokens are empty there."""
        if not isinstance(mask, str):  # the decorator without its brackets would do nothing
            raise TypeError("a mask is a str, not %r: @server.json_worker('/path')" % (mask,))

        def decorate(function: Function) -> Function:
            self.add_json_worker_mask(mask, function, cache_id, cache_method, cache_section, isolate)
            return function
        return decorate

    def add_json_worker_mask(self, mask: str, function: Callable[[Any], Any],
                             cache_id: Optional[Callable[[Any], Any]] = None, cache_method: str = 'string',
                             cache_section: str = 'www', isolate: bool = False) -> None:
        """The same as json_worker(), without a decorator."""
        worker = self._worker_constructor(mask, WorkerOptions(
            function=function, cache_id=cache_id, cache_method=cache_method, cache_section=cache_section,
            isolate=isolate, soft_death=self.soft_worker_death, cache=lambda: self.cache, dumps=_engine.json_dumps,
            busy=self._engine.set_busy, thread_factory=self._worker_threads, max_chunk=lambda: int(self.max_chunk_size),
            admit=lambda: self._workers_running() < self.max_workers, report=report_error, log=server_msg,
            verbose=lambda: bool(self.verbose_workers)))
        self.add_json_post_mask(mask, lambda request, args: worker.handle(args.get('post')), 0)
        self._worker_masks[mask] = worker

    def link_worker_js(self, mask: str) -> None:
        """Serves the browser's side of workers at the path `mask`."""
        self.add_special_file(mask, WORKER_JS, True, 'text/javascript')

    def mirror_worker_js(self, path: str) -> None:
        """Keeps a copy of the browser's side of workers at the path, relative to base_path."""
        self.mirror_file(path, WORKER_JS, True)

    # Of versions whose worker.js is a module, where the script of before has a name of its own: here one file is both

    def link_legacy_worker_js(self, mask: str) -> None:
        """The same as link_worker_js()."""
        self.link_worker_js(mask)

    def mirror_legacy_worker_js(self, path: str) -> None:
        """The same as mirror_worker_js()."""
        self.mirror_worker_js(path)

    def _workers_running(self) -> int:
        """Jobs, and results that nobody has asked for yet: reasons for the process to stay."""
        return sum(int(worker.count()) for worker in list(self._worker_masks.values()))

    def _finish_workers(self) -> None:
        """Returns when every job has ended and its result was asked for, is too old, or nobody asks for it any more.
        For a process that has drained: its successor passes on what clients ask. The supervisor is told now and then,
        and may end it."""
        told = last = float('-inf')
        while self._workers_running() or time.monotonic() < last + _FINISH_GRACE:
            now = time.monotonic()
            if self._workers_running():
                last = now
            if self._supervisor is not None and self._supervisor.stopping:
                return self._stop_workers()
            if self._supervisor is not None and now > told + min(_FINISH_TELL, self.drain_timeout / 2):
                told = now
                self._supervisor.busy()
            for worker in list(self._worker_masks.values()):
                worker.abandon()
            time.sleep(_FINISH_LOOK)

    def _stop_workers(self) -> None:
        """For a process that ends now."""
        for worker in list(self._worker_masks.values()):
            worker.stop_all()
