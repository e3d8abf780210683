"""Jobs across a reload: their process drains and goes on with them, its successor passes on what is asked about them.

A token begins with the name of the process that made it (16 of its 40 hexadecimal digits, random). That process
listens on an abstract Unix socket of this name from its first job on, so there is no time at which a job could not be
found, and no file is left behind. A process that does not know a token connects to the socket that the token names
and passes the request on; if there is none, the token is unknown. Each side talks only to a process of the same user
(SO_PEERCRED, unix(7)): the names of abstract sockets are everyone's.

A request and an answer are one line of JSON each: {"mask", "post"}, and {"answer"} or {"error": [code, message]}.
"""

import errno
import json
import os
import re
import socket
import struct
import threading
import time
import weakref
from typing import Any, Dict, Optional

from quick_server._forked import tell_after_fork
from quick_server._response import PreventDefaultResponse

TIMEOUT = 10.0  # seconds
MAX_REQUEST = 1 << 16  # bytes: a token and an action
MAX_ANSWER = 1 << 30  # bytes; that of a result is max_chunk_size
_TOKEN = re.compile('[0-9a-f]{40}')
_HOME = 16
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ECONNABORTED)  # accept(2)
_PAUSE = 0.1  # seconds
_CREDENTIALS = struct.Struct('iii')


class _Home:
    """This process's name and the workers whose jobs it has; several servers may each have one of the same mask."""

    def __init__(self) -> None:
        self.listener: Optional[socket.socket] = None
        self.after_fork()
        tell_after_fork(self)

    def after_fork(self) -> None:
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        self.guard = threading.Lock()
        self.name = ''
        self.workers: 'weakref.WeakSet[Any]' = weakref.WeakSet()


_home = _Home()


def new_token(worker: Any) -> str:
    """A token of a job, or a part of its result, of the worker (BaseWorker)."""
    with _home.guard:
        if not _home.name:
            _home.name = os.urandom(_HOME // 2).hex()
        if _home.listener is None:
            _home.listener = _listen(_home.name)
        _home.workers.add(worker)
        return _home.name + os.urandom(12).hex()


def ask(token: str, mask: str, post: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """The answer of the process that has made the token; None if that is this one, or has ended."""
    if not _TOKEN.fullmatch(token) or token[:_HOME] == _home.name:
        return None
    request = {'mask': mask, 'post': {'action': post.get('action'), 'token': token}}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(_address(token[:_HOME]))
            if not _is_ours(connection):
                return None
            connection.sendall(json.dumps(request).encode() + b'\n')
            with connection.makefile('rb') as stream:
                answer: Dict[str, Any] = json.loads(stream.readline(MAX_ANSWER))
    except (OSError, ValueError):
        return None
    if 'error' in answer:
        raise PreventDefaultResponse(*answer['error'])
    return answer.get('answer')


def _address(name: str) -> str:
    return f'\0quick_server/{os.geteuid()}/{name}'


def _is_ours(connection: socket.socket) -> bool:
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(found)[1] == os.geteuid())


def _listen(name: str) -> Optional[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(_address(name))
        listener.listen(64)
        threading.Thread(target=_serve, args=(listener,), name='worker relay', daemon=True).start()
    except (OSError, RuntimeError):
        listener.close()  # no such sockets here, or no thread left: jobs are this process's alone
        return None
    return listener


def _serve(listener: socket.socket) -> None:
    try:
        while True:
            connection = _accept(listener)
            try:
                threading.Thread(target=_serve_one, args=(connection,), name='worker relay', daemon=True).start()
            except RuntimeError:  # no thread left
                _serve_one(connection)
    except OSError:
        with _home.guard:
            listener.close()
            if _home.listener is listener:
                _home.listener = None  # the next job makes another one


def _accept(listener: socket.socket) -> socket.socket:
    """The next connection, however long this process or the system has no room for it."""
    while True:
        try:
            return listener.accept()[0]
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            time.sleep(_PAUSE)


def _serve_one(connection: socket.socket) -> None:
    try:
        with connection:
            connection.settimeout(TIMEOUT)
            if not _is_ours(connection):
                return
            with connection.makefile('rb') as stream:
                request = json.loads(stream.readline(MAX_REQUEST))
            connection.sendall(json.dumps(_answer(request)).encode() + b'\n')
    except (OSError, ValueError, TypeError, KeyError):
        pass  # it has gone, or is none of ours


def _worker_of(mask: str, token: str) -> Optional[Any]:
    with _home.guard:
        workers = [worker for worker in _home.workers if worker.mask == mask]
    return next((worker for worker in workers if worker.knows(token)), None)


def _answer(request: Dict[str, Any]) -> Dict[str, Any]:
    post = request['post']
    worker = _worker_of(request['mask'], str(post.get('token')))
    if worker is None or post.get('action') == 'start' or str(post.get('token'))[:_HOME] != _home.name:
        return {'answer': None}
    try:
        return {'answer': worker.handle(post)}
    except PreventDefaultResponse as error:
        return {'error': [error.code, error.message]}
