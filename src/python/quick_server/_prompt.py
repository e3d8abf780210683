"""The command prompt of a process that has no supervisor: lines from standard input, in a thread of their own.

On a terminal with readline's editing, history and TAB; otherwise line by line, without Python's buffered sys.stdin:
a thread that waits in that when the interpreter ends would end it by an error. For the same reason the terminal is
put back here, whoever waits in readline.
"""

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Iterator, List, Optional

from quick_server._log import server_msg

if TYPE_CHECKING:
    from quick_server._server import QuickServer

_HISTORY = 1000        # lines that are kept
_LINE = 64 << 10       # bytes of a line from a pipe; what is longer is dropped with a message
NO_LOOP = 'no command loop - use CTRL-C to terminate'


def start(server: 'QuickServer') -> None:
    """Returns at once. Nothing is read from a terminal in whose background this is."""
    if server.no_command_loop or not _can_be_read():
        server_msg(NO_LOOP)
        return
    threading.Thread(target=_loop, args=(server,), name='quick_server commands', daemon=True).start()


def _can_be_read() -> bool:
    try:
        return not os.isatty(0) or os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _loop(server: 'QuickServer') -> None:
    for line in _typed_lines(server) if os.isatty(0) else _lines():
        try:
            server.run_command(line)
        except SystemExit:
            server.done = True
        if server.done:
            return
    server_msg(NO_LOOP)


def _lines() -> Iterator[str]:
    waiting, dropping = b'', False
    while True:
        try:
            data = os.read(0, 1 << 16)
        except OSError:
            data = b''
        *whole, waiting = (waiting + data).split(b'\n')
        for line in whole:
            if not dropping:
                yield line.decode('utf-8', 'replace')
            dropping = False
        if len(waiting) > _LINE:
            server_msg('a command of more than %d bytes was dropped' % _LINE)
            waiting, dropping = b'', True
        if not data:
            if waiting and not dropping:
                yield waiting.decode('utf-8', 'replace')
            return


def _typed_lines(server: 'QuickServer') -> Iterator[str]:
    import readline
    _put_terminal_back_at_exit()
    history = server.absolute(server.history_file)
    _set_up_readline(readline, server, history)
    while True:
        try:
            line = input(server.prompt)
        except (EOFError, OSError):
            return
        if line.strip():
            _save(readline, history)
        yield line


def _put_terminal_back_at_exit() -> None:
    import termios
    modes = termios.tcgetattr(0)
    atexit.register(termios.tcsetattr, 0, termios.TCSADRAIN, modes)


def _set_up_readline(readline: Any, server: 'QuickServer', history: str) -> None:
    try:
        readline.read_history_file(history)
    except OSError:
        pass  # there is none yet
    readline.set_history_length(_HISTORY)
    readline.set_completer_delims(' \t')
    words = []  # type: List[str]

    def complete(text: str, state: int) -> Optional[str]:
        if state == 0:
            words[:] = server.complete_command(readline.get_line_buffer(), readline.get_begidx(), readline.get_endidx())
        return words[state] + ' ' if state < len(words) else None

    readline.set_completer(complete)
    readline.parse_and_bind('tab: complete')


def _save(readline: Any, history: str) -> None:
    try:
        readline.write_history_file(history)
    except OSError as error:
        print('no history is kept: %s' % error, file=sys.stderr)
