"""What a program can say to quicken, which runs it from a process that has already run its prelude.

Nothing here is needed to be quickened, and all of it does the same in a plain
run: a program that imports this module runs with quicken and without it. See
quicken(7).

    import quicken

    @quicken.after_fork
    def connect():
        global database
        database = sqlite3.connect('notes.db')

    if __name__ == '__main__':
        ...

Works with every CPython from 3.8; imports nothing that an interpreter has not
already imported.
"""

import builtins
import sys

__all__ = ['after_fork', 'done', 'serve', 'start', 'warming']
__version__ = '@PROJECT_VERSION@'

# For type checkers alone, which take this for true (PEP 484): typing is slow to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Optional, Type, TypeVar

    _Function = TypeVar('_Function', bound=Callable[[], Any])

_FORK_POINT = '__quicken_fork_point__'


class _Warming:
    """A truth value that is looked up when it is asked for, so that it is right also where it was imported by name."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return hasattr(builtins, _FORK_POINT)

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))

    def __repr__(self) -> str:
        return repr(bool(self))


warming = _Warming()
"""True while the program's prelude is run once for many runs; false in every run itself, quickened or plain.

A prelude can leave to main what must not be done in advance: `if not quicken.warming: connect()`.
"""


def start() -> None:
    """The fork point: what comes before is run in advance, once for many runs, and every run begins here.

    May be called anywhere, also in functions and in imported modules; from the
    second time on it does nothing, as always in a plain run. It is the fork
    point if the script itself imports it and calls it, or if the program is
    run by `quicken run --fork-point start` or through instastart.auto: then
    `if __name__ == '__main__':` is none.
    """
    sys.audit('quicken.start')


def done(status: int = 0) -> None:
    """Ends the command for whoever has started it, with this exit status, and returns: the rest of the program goes on
    in the background.

    Standard output and standard error are flushed first. What is printed later
    still goes where it went, to the terminal as well; nothing can be read from
    a terminal any more. The first call counts. In a plain run there is nobody
    to tell: it flushes, and the status is that of the program's own end.
    """
    if not isinstance(status, int):
        raise TypeError('the status has to be an int')
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    sys.audit('quicken.done', status)


class _Serving:
    def __init__(self, autodone: bool) -> None:
        self._autodone = autodone

    def __enter__(self) -> None:
        start()

    def __exit__(self, kind: 'Optional[Type[BaseException]]', value: 'Optional[BaseException]',
                 traceback: 'Optional[TracebackType]') -> None:
        if kind is None and self._autodone:
            done()


def serve(autodone: bool = True) -> _Serving:
    """A context: start() where it is entered and, with `autodone`, done() where it is left.

    An exception that leaves it is not the end of the command: whatever the
    program makes of it is, as in a plain run.
    """
    return _Serving(autodone)


def after_fork(function: '_Function') -> '_Function':
    """Have `function` called, without arguments, in every run; returns it, so that this is a decorator as well.

    In a prelude that is run in advance it is kept, and called in every command
    before main, when arguments, environment, working directory and streams are
    the client's own; several are called in the order in which they were given.
    In a plain run, and in main, it is called at once, before this returns.
    What it raises is raised by this call in the one case, and at the top of
    main in the other: where nothing handles it, it ends the program.
    """
    point = getattr(builtins, _FORK_POINT, None)
    if point is None:
        function()
    else:
        point.__self__.append(function)
    return function
