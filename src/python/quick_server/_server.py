"""The server object, and create_server().

Everything that a script says to it goes to the engine at once; it holds what the engine does not: the listening
socket, which the script may exchange for a wrapped one, what is to happen at the end, and the commands.

serve_forever() ends by `done` (quit, a signal's handler, the supervisor's stop), by KeyboardInterrupt, or because the
engine has drained. `done` may be set on any thread at any time: a stop() that comes before serve() is kept by
the engine.
"""

import atexit
import os
import re
import sys
import threading
import weakref
from socket import AF_UNIX, MSG_PEEK, SOCK_SEQPACKET, getfqdn, socketpair
from socket import socket as Socket
from typing import Any, Callable, Dict, FrozenSet, Optional, Sequence, Tuple

from quick_server import (_engine, _handlers, _hand_over, _log, _prompt, _restart, _shutdown, _sockets,
                          _supervisor)
from quick_server._commands import Commands
from quick_server._errors import report_error
from quick_server._files import Files
from quick_server._request import QuickServerRequestHandler
from quick_server._routing import Routing
from quick_server._settings import Settings
from quick_server._worker_methods import WorkerMethods

Address = Tuple[str, int]
ThreadFactory = Callable[..., threading.Thread]

_NOT_FOUND = re.compile(r'"[A-Z]+ ([^ ]*)[^"]*" 404\b')  # of a line of the access log


def _abandon_after_fork(server: 'QuickServer') -> None:
    reference = weakref.ref(server)

    def abandon() -> None:
        found = reference()
        if found is not None:
            found._engine.abandon()
            found._leave_attendance()
            found._socket.close()

    os.register_at_fork(after_in_child=abandon)


class QuickServer(Settings, Routing, Files, Commands, WorkerMethods):
    """Listens from its creation on, serves in serve_forever(). OSError if it cannot listen."""

    timeout = None  # type: Optional[float]  # seconds, of handle_request()

    def __init__(self, server_address: Address, parallel: bool = True, thread_factory: Optional[ThreadFactory] = None,
                 token_handler: Any = None, worker_constructor: Any = None, soft_worker_death: bool = False) -> None:
        server_address = _sockets.checked(server_address)
        _hand_over.hand_over()
        sys.audit('quicken.start')  # what comes before is run once for many runs, where there is quicken
        self._supervisor = _supervisor.connect()
        self._stop_lock = threading.Lock()
        self._is_done = self._is_serving = self._has_successor = self._restarts = False
        self._parked = None  # type: Optional[Socket]
        self._attends = False  # handle_request() has begun to serve
        self._attendant = 0    # the thread that may go on with it; 0: it does
        self._handled = 0      # requests that handle_request() has waited for
        self._calls_in_vain = 0  # of it, after the end
        self._invalid_paths = frozenset()  # type: FrozenSet[str]
        self.thread_factory = thread_factory or threading.Thread
        request_type = type('QuickServerRequestHandler', (QuickServerRequestHandler,), {'server': self})
        self._engine = _engine.Engine(request_type, _handlers.finish, _handlers.fail, self._log)
        _abandon_after_fork(self)
        self._engine.configure(parallel=bool(parallel))
        self._set_up_settings()
        self._set_up_routing()
        self._set_up_files()
        self._set_up_commands()
        self._socket = self._listen(*server_address)
        self._set_up_workers(token_handler, worker_constructor, soft_worker_death, self.thread_factory)

    # Where it listens

    def _listen(self, address: str, port: int) -> Socket:
        if self._supervisor is None:
            return _sockets.listen(address, port)
        return self._supervisor.listen(address, port)

    @property
    def socket(self) -> Socket:
        """The listening socket. Assign one that an ssl.SSLContext has wrapped to serve HTTPS."""
        return self._socket

    @socket.setter
    def socket(self, value: Socket) -> None:
        if self._is_serving:
            raise RuntimeError('the socket of a server cannot be exchanged while it serves')
        if not isinstance(value, Socket):
            raise TypeError('%r is no socket' % (value,))
        self._socket = value

    @property
    def server_address(self) -> Address:
        return _sockets.address_of(self._socket)

    @property
    def server_port(self) -> int:
        return self.server_address[1]

    @property
    def server_name(self) -> str:
        return getfqdn(self.server_address[0])

    def fileno(self) -> int:
        return self._socket.fileno()

    # Serving

    def serve_forever(self, poll_interval: Optional[float] = None) -> None:
        """Serves until `done` is True or CTRL-C is pressed. May be called once. `poll_interval` has no meaning."""
        self._check_attendant()
        attends = self._attends
        if attends:
            self._leave_attendance()
        else:
            self._begin_serving()
        try:
            while attends or not self.done:  # what handle_request() has begun is ended by the engine itself
                attends = False
                self._engine.serve()
                if not self._has_parked():
                    break
        except KeyboardInterrupt:
            pass  # the user's way to end it
        except Exception:
            _restart.note_failure()
            raise
        finally:
            self._end_serving()

    def handle_request(self) -> None:
        """Waits until one more request has been answered, `timeout` seconds at most: then it calls handle_timeout().

        The server serves on between two calls and until it is closed, so that no connection is lost; only what is called
        one at a time (parallel=False) waits for the next call. At the script's end it is closed. RuntimeError on another
        thread than the first call's, ValueError if it is called again and again after `done`."""
        self._check_attendant()
        if not self._attends:
            if self.done:
                self._calls_in_vain += 1
                if self._calls_in_vain > 1:
                    raise ValueError('the server has ended')
                return
            self._begin_serving()
            self._attends = True
            atexit.register(self.server_close)
        found = self._attend(self._handled + 1, -1 if self.timeout is None else max(0, self.timeout))
        if found is False:
            self._handled += 1
        elif found is None:
            self.handle_timeout()

    def _check_attendant(self) -> None:
        if self._attends and self._attendant != threading.get_ident():
            raise RuntimeError('the server serves already')

    def _attend(self, requests: int, seconds: float) -> Optional[bool]:
        """Engine.serve() for handle_request(), and what is to be done once it serves no more."""
        found = True  # type: Optional[bool]
        self._attendant = 0
        try:
            found = self._engine.serve(requests, seconds)
            while found and self._has_parked():
                self._handled = 0  # the engine begins anew, and so does its count
                found = self._engine.serve(min(requests, 1), seconds)
        except Exception:
            _restart.note_failure()
            raise
        finally:
            self._attendant = threading.get_ident()
            if found:
                self._leave_attendance()
                self._end_serving()
        return found

    def is_away(self) -> bool:
        """The script is between two calls of handle_request(): it would not see soon that it is to end."""
        return self._attends and self._attendant != 0

    def _leave_attendance(self) -> None:
        self._attends = False
        atexit.unregister(self.server_close)

    def handle_timeout(self) -> None:
        """For subclasses: handle_request() has waited in vain."""

    def _begin_serving(self) -> None:
        if self._socket.fileno() < 0:
            raise ValueError('the server has been closed')
        with self._stop_lock:
            if self._is_serving:
                raise RuntimeError('the server serves already')
            self._is_serving = True
        self._engine.listen(self._socket.fileno(), getattr(self._socket, 'context', None))
        if self._supervisor is None:
            _prompt.start(self)
            return
        for name, value in self._supervisor.settings.items():
            setattr(self, 'max_file_size' if name == 'max_body' else name, value)
        self._supervisor.serving(self)
        if self._supervisor.stopping:
            self.done = True

    def _end_serving(self) -> None:
        self.done = True
        self._is_serving = False
        self._engine.close()
        if self._has_successor:
            self._finish_workers()
        else:
            self._stop_workers()
        if self._supervisor is not None:
            self._supervisor.left(self, not self._has_successor, self._restarts)
        elif self._restarts:
            _restart.restart_at_exit()

    @property
    def done(self) -> bool:
        """True: it has been told to stop, or has stopped. Setting it stops serve_forever(): answers that have begun
        have `shutdown_latency` seconds."""
        return self._is_done

    @done.setter
    def done(self, value: bool) -> None:
        with self._stop_lock:
            stops = bool(value) and not self._is_done
            self._is_done = bool(value)
        if stops:
            self._engine.stop(float(self.shutdown_latency))

    def shutdown(self) -> None:
        """Stops it, from any thread."""
        self.done = True

    def server_close(self) -> None:
        """Stops listening, and what handle_request() has begun. More than once does no harm."""
        self.done = True
        if self.is_away() and threading.get_ident() in (self._attendant, threading.main_thread().ident):
            self._attend(0, -1)
        self._socket.close()

    def __enter__(self) -> 'QuickServer':
        return self

    def __exit__(self, *exception: Any) -> None:
        self.server_close()

    def restart(self) -> None:
        """Starts the script anew: at once beside this process, where `quicken serve` runs it, else when it has
        ended."""
        if self._supervisor is not None and not self._supervisor.stopping:
            self._supervisor.restart()
            return
        self._restarts = True
        self.done = True

    def register_shutdown(self) -> None:
        """Has SIGINT and SIGTERM stop this server, and call what add_shutdown_hook() was given. Main thread only."""
        _shutdown.add_shutdown_hook(self.server_close)
        _shutdown.setup_shutdown()

    # For the supervisor's thread

    def drain(self, connections: int = -1, has_successor: bool = False) -> None:
        """Ends when what is being answered is. Idle connections go to the socket `connections`; -1: they are closed.
        has_successor: another process serves already, and asks this one for its workers' results."""
        self._has_successor = has_successor
        self._engine.drain(connections)

    def leave_if_idle(self) -> None:
        """Ends if no connection is open, without losing one that comes meanwhile: the engine stops accepting and hands
        over what is open, to this process itself; if there is something, it goes on with that (_has_parked)."""
        self._parked, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        with theirs:
            self._engine.drain(theirs.fileno())

    def _has_parked(self) -> bool:
        parked, self._parked = self._parked, None
        if parked is None:
            return False
        with parked:
            if not parked.recv(1, MSG_PEEK):  # the end: the engine has closed its side
                return False
            if self.done or (self._supervisor is not None and self._supervisor.stopping):
                return False  # has been told to end since then
            self._engine.adopt(parked.fileno())
        if self._supervisor is not None:
            self._supervisor.busy()
        return True

    def adopt(self, predecessor: int) -> None:
        self._engine.adopt(predecessor)

    def activity(self) -> Dict[str, Any]:
        return dict(self._engine.activity(), workers=self._workers_running())

    # The log

    def _log(self, text: str) -> None:
        lines = [line for line in text.rstrip('\n').split('\n') if not self._is_common_invalid(line)]
        if lines:
            _log.server_msg('\n'.join(lines))

    def _is_common_invalid(self, line: str) -> bool:
        found = _NOT_FOUND.search(line) if self._invalid_paths else None
        return found is not None and found.group(1).split('?')[0] in self._invalid_paths

    def set_common_invalid_paths(self, paths: Sequence[str]) -> None:
        """Paths that robots ask for: that they are not found is not logged."""
        if isinstance(paths, str):
            raise TypeError('paths are a list, not the str %r' % paths)
        self._invalid_paths = frozenset(paths)

    def update_version_string(self, version: str) -> None:
        """What answers have in their field Server."""
        self._engine.configure(server_version=version)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Reports the exception that is being handled."""
        error = sys.exc_info()[1]
        if error is not None:
            report_error('a request of %s' % (client_address,), error)


def create_server(server_address: Address, parallel: bool = True, thread_factory: Optional[ThreadFactory] = None,
                  token_handler: Any = None, worker_constructor: Any = None, soft_worker_death: bool = False,
                  ) -> QuickServer:
    """A server that listens at (address, port); '' is all interfaces, port 0 any free one. parallel=False: one handler
    at a time, on the thread of serve_forever(). OSError if it cannot listen.

    Under plain python3, the script's first call of this (or of setup_restart()) begins anew under `quicken serve`
    where that is installed.
    """
    return QuickServer(server_address, parallel, thread_factory, token_handler, worker_constructor, soft_worker_death)
