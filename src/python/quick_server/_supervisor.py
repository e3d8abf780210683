"""The script's end of what is said with the supervisor of `quicken serve` (src/serve/protocol.hpp).

One thread receives, from create_server() on; it never runs code of the script: commands and completions have threads of
their own. Any thread sends: a packet is sent whole or not at all. Answers to `listen` go through a queue to the one
thread that waits for them. When the supervisor has gone, what is being answered is finished, and serve_forever()
returns.

A child that the script forks has neither the thread nor, at once after the fork, the descriptor: the supervisor sees
the script's end when the script ends.
"""

import array
import errno
import json
import os
import queue
import select
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set, Tuple

from quick_server import _modules, _shutdown

if TYPE_CHECKING:
    from quick_server._server import QuickServer

CONTROL = 'QUICKEN_SERVE_FD'
SETTINGS = 'QUICKEN_SERVE_SETTINGS'
PYTHONPATH = 'QUICKEN_SERVE_PYTHONPATH'
PACKET = 64 << 10       # bytes
_LIST = 32 << 10        # bytes of names in one message
_FILE_CLOCK = 5         # CLOCK_REALTIME_COARSE (time.h), by which files have their times
_LOOK_INTERVAL = 1.0    # seconds between looks for modules that have been imported

Message = Dict[str, Any]

_GONE = {'errno': errno.ECONNRESET, 'error': 'the supervisor of quicken serve has gone'}  # type: Message


def _end_of_tick() -> int:
    """ns since the epoch, as files have it. What is changed after the return has a later time: a tick is up to 10 ms."""
    now = time.clock_gettime_ns(_FILE_CLOCK)
    while time.clock_gettime_ns(_FILE_CLOCK) == now:
        time.sleep(0.001)
    return now


class Supervisor:
    def __init__(self, fd: int, settings: Dict[str, Any]) -> None:
        self.settings = settings  # of the engine, which overrule those of the script
        self.stopping = False     # serve_forever() is to return at once
        self._socket = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        self._answers = queue.Queue()  # type: queue.Queue[Tuple[Message, List[int]]]
        self._listening = threading.Lock()
        self._servers = []  # type: List[QuickServer]
        self._watched = set()  # type: Set[str]
        self._began = 0  # ns since the epoch: when it was first asked for a socket
        self._looking = threading.Lock()
        self._drains = False  # a successor serves
        self._modules = 0
        os.register_at_fork(after_in_child=self._socket.close)
        threading.Thread(target=self._receive, name='quick_server supervisor', daemon=True).start()

    # What the script says

    def listen(self, address: str, port: int) -> socket.socket:
        """The listening socket for that. OSError as bind(2) has it, or if there is no supervisor any more."""
        with self._listening:
            self._began = self._began or _end_of_tick()
            self._say({'do': 'listen', 'address': address, 'port': port})
            answer, fds = self._answers.get()
            if answer is _GONE:
                self._answers.put((_GONE, []))  # for the next one
        if 'errno' in answer:
            text = answer.get('error') or os.strerror(answer['errno'])
            raise OSError(answer['errno'], '%s: cannot listen at %s:%d' % (text, address or '*', port))
        if not fds:
            raise ConnectionError('the supervisor has given no socket for port %d' % port)
        return socket.socket(fileno=fds[0])

    def serving(self, server: 'QuickServer') -> None:
        """The server is about to serve: its predecessor drains from now on."""
        self._servers.append(server)
        self._say({'do': 'serving', 'prompt': str(server.prompt), 'history': server.absolute(server.history_file),
                   'commands': server.command_names(), 'prompts': not server.no_command_loop,
                   'script': _modules.script(), 'shutdown_latency': server.shutdown_latency,
                   'drain_timeout': server.drain_timeout})
        self._watch()
        if self._drains:
            server.drain(has_successor=True)

    def left(self, server: 'QuickServer', by_itself: bool, restart: bool) -> None:
        """serve_forever() has been left."""
        self._servers.remove(server)
        if by_itself and not self._servers:
            self._say({'do': 'leaving', 'restart': restart})

    def busy(self) -> None:
        """This process was to end, and has reasons to go on."""
        self._say({'do': 'busy'})

    def restart(self) -> None:
        self._say({'do': 'restart'})

    def _say(self, message: Message) -> None:
        try:
            self._socket.send(json.dumps(message).encode('ascii'), socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it has gone, which _receive() sees as well

    def _watch(self) -> None:
        """Tells of own files that it has not been told of.

        Those of the first look have been loaded before the first socket was asked for, as a rule: what has changed
        since then has been edited. Whichever thread comes first looks first, serving() or the receiver.
        """
        with self._looking:
            since = 0 if self._watched else self._began
            self._modules = len(sys.modules)
            fresh, size = [], 0  # type: List[str], int
            for file in sorted(_modules.own_files() - self._watched):
                self._watched.add(file)
                fresh.append(file)
                size += len(file.encode('utf-8', 'surrogateescape')) * 6  # at most, as JSON
                if size > _LIST:
                    self._say({'do': 'watch', 'files': fresh, 'since': since})
                    fresh, size = [], 0
            if fresh:
                self._say({'do': 'watch', 'files': fresh, 'since': since})

    # What it says to the script

    def _receive(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while True:
            try:
                if not poll.poll(_LOOK_INTERVAL * 1000):
                    if self._servers and len(sys.modules) != self._modules:
                        self._watch()
                    continue
                data, fds = self._read()
            except OSError:
                data = b''
            if not data:
                break
            self._take(json.loads(data), fds)
        self._gone()

    def _read(self) -> Tuple[bytes, List[int]]:
        numbers = array.array('i')
        data, ancillary, _, _ = self._socket.recvmsg(PACKET, socket.CMSG_SPACE(numbers.itemsize * 4),
                                                     socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers.frombytes(content[:len(content) - len(content) % numbers.itemsize])
        return data, list(numbers)

    def _take(self, message: Message, fds: List[int]) -> None:
        what = message.get('do')
        if what == 'listening':
            self._answers.put((message, fds))
            return
        actions = {'complete': self._complete, 'run': self._run, 'activity?': self._tell_activity,
                   'stop': self._stop, 'idle': self._leave_if_idle}
        if what in ('complete', 'run'):
            threading.Thread(target=actions[what], args=(message,), daemon=True).start()
        elif what == 'drain':
            self._drain(fds[0] if fds else -1)
        elif what == 'adopt' and fds and self._servers:
            self._servers[0].adopt(fds[0])
        elif what in actions:
            actions[what](message)
        for fd in fds:
            os.close(fd)

    def _drain(self, connections: int) -> None:
        """Of several servers in a process only the first one's connections pass; none if the socket for them is -1, as
        where no descriptor was left. One that begins to serve later sees `_drains`: serving() adds it before it looks."""
        self._drains = True
        for server in list(self._servers):
            server.drain(connections, has_successor=True)
            connections = -1

    def _run(self, message: Message) -> None:
        try:
            for server in self._servers[:1]:
                server.run_command(str(message.get('line', '')))
        except SystemExit:
            self._quit()
        finally:
            self._say({'do': 'ran', 'id': message.get('id')})

    def _complete(self, message: Message) -> None:
        words, size = [], 0  # type: List[str], int
        for server in self._servers[:1]:
            line, begin, end = message.get('line', ''), message.get('begin', 0), message.get('end', 0)
            for word in server.complete_command(line, begin, end):
                size += 6 * len(word) + 4
                if size < PACKET // 2:
                    words.append(word)
        self._say({'do': 'words', 'id': message.get('id'), 'words': words})

    def _activity(self) -> Message:
        every = [server.activity() for server in list(self._servers)]
        names = ('answering', 'connections', 'requests', 'workers')
        total = {name: sum(each[name] for each in every) for name in names}
        return dict(total, seconds_idle=min((each['seconds_idle'] for each in every), default=0.0))

    def _tell_activity(self, message: Message) -> None:
        self._say(dict(self._activity(), do='activity'))

    def _leave_if_idle(self, message: Message) -> None:
        """The first look is for what takes long to end; only with one server in the process the second is exact."""
        activity = self._activity()
        servers = list(self._servers)
        away = any(server.is_away() for server in servers)
        if away or activity['answering'] or activity['connections'] or activity['workers']:
            self.busy()
            return
        for server in servers:
            if len(servers) == 1:
                server.leave_if_idle()
            else:
                server.drain()

    def _quit(self) -> None:
        self.stopping = True
        for server in list(self._servers):
            server.done = True

    def _stop(self, message: Message) -> None:
        """What is being answered is finished; one that does so already, for its successor, is to hurry. A script with
        shutdown hooks ends by them, as at the signal that this stands for."""
        self.stopping = True
        if _shutdown.interrupt():
            return
        if self._drains:
            self._quit()
            return
        for server in list(self._servers):
            server.drain()

    def _gone(self) -> None:
        self.stopping = True
        for server in list(self._servers):
            server.drain()
        self._answers.put((_GONE, []))


_lock = threading.Lock()
_supervisor = None  # type: Optional[Supervisor]


def _put_environment_back() -> Optional[Tuple[int, Dict[str, Any]]]:
    """The variables of the supervisor's are not for what the script starts. Their values; None without supervisor."""
    control = os.environ.pop(CONTROL, None)
    settings = os.environ.pop(SETTINGS, None)
    before = os.environ.pop(PYTHONPATH, None)
    if control is None:
        return None
    if before is not None:
        os.environ['PYTHONPATH'] = before
    else:
        os.environ.pop('PYTHONPATH', None)
    return int(control), json.loads(settings) if settings else {}


def connect() -> Optional[Supervisor]:
    """The supervisor of this process, if it has one; the first call takes what is said of it out of os.environ."""
    global _supervisor
    with _lock:
        found = _put_environment_back() if _supervisor is None else None
        if found is not None:
            _supervisor = Supervisor(*found)
        return _supervisor
