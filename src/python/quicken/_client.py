"""A Python process that becomes one of quicken's programs, by exec: the same process, as it was when it was started.

What the interpreter has changed of it since is undone: of the signals, SIGPIPE
and SIGXFSZ, which it ignores (they were not ignored before, or no program in
Python can tell), and SIGINT, which exec(2) makes default again; the
environment is the one of /proc/self/environ, without the LC_CTYPE of PEP 538
and what `site` has made of it. Nothing is flushed.

The client runs a program plainly by exec as well. So that this does not go
round in circles, it is told by a variable, which the client keeps from
servers and commands; and a command knows that it is one.
"""

import posix
import sys

# For type checkers alone (PEP 484): typing is slow to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional

_MARK = b'QUICKEN_HANDED_OVER'  # common/target.hpp: the last variable of the environment, its value is the pid
_AT_HOME = '/share/quicken/python/quicken'  # of PREFIX


def is_quickened() -> bool:
    """Whether this is a process of quicken's: a template, a command, or what one has forked."""
    answers = []  # type: List[object]
    sys.audit('quicken.present', answers)
    return bool(answers)


def was_handed_over() -> bool:
    """Whether this is the plain run that the client has made of a process that had become it; forgets it."""
    if _MARK not in posix.environ:
        return False
    posix.unsetenv(_MARK)
    return posix.environ.pop(_MARK) == b'%d' % posix.getpid()


def has_told_of_its_start(variables: 'Dict[bytes, bytes]') -> bool:
    """Whether this interpreter prints what it does, which the next one would print again."""
    return bool(sys.flags.verbose or 'importtime' in sys._xoptions or b'PYTHONPROFILEIMPORTTIME' in variables
                or variables.get(b'PYTHONCOERCECLOCALE') == b'warn')


def read(path: str) -> bytes:
    parts = []  # type: List[bytes]
    fd = posix.open(path, posix.O_RDONLY)
    try:
        while not parts or parts[-1]:
            parts.append(posix.read(fd, 1 << 13))
    finally:
        posix.close(fd)
    return b''.join(parts)


def environment() -> 'Dict[bytes, bytes]':
    """What this process was given, as os.environ would have it."""
    variables = {}  # type: Dict[bytes, bytes]
    for entry in read('/proc/self/environ').split(b'\0'):
        equals = entry.find(b'=', 1)
        if equals > 0:
            variables.setdefault(entry[:equals], entry[equals + 1:])
    variables.pop(_MARK, None)
    return variables


def _is_installation(program: str) -> bool:
    """Is it quicken's, and not another program of that name? A link to it is as good."""
    from os.path import dirname, realpath
    prefix = dirname(dirname(realpath(program)))
    return posix.access(prefix + '/libexec/quicken/quicken-server', posix.X_OK)


def find(name: str, variables: 'Dict[bytes, bytes]') -> 'Optional[str]':
    """A program of quicken's: next to this package if that is in an installation, otherwise on PATH."""
    here = __file__.rpartition('/')[0]
    places = [here[:-len(_AT_HOME)] + '/bin'] if here.endswith(_AT_HOME) else []
    path = variables.get(b'PATH', b'/bin:/usr/bin').decode(sys.getfilesystemencoding(), 'surrogateescape')
    for place in places + [entry for entry in path.split(':') if entry[:1] == '/']:
        program = place + '/' + name
        if posix.access(program, posix.X_OK) and _is_installation(program):
            return program
    return None


def execute(program: str, arguments: 'List[bytes]', variables: 'Dict[bytes, bytes]') -> None:
    """Returns if the program cannot be executed, with everything as it was. The plain run that may come of it is told.

    A SIGINT that comes before its action is changed is raised here as
    KeyboardInterrupt, by the call that changes it; one that comes later ends
    the process, as it does any that has just been started.
    """
    import _signal  # type: ignore[import]  # signal itself makes enumerations, which takes longer than all of this
    changed = []
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT):
        before = _signal.getsignal(number)
        if before in ((_signal.default_int_handler,) if number == _signal.SIGINT else (_signal.SIG_IGN,)):
            changed.append((number, _signal.signal(number, _signal.SIG_DFL)))
    try:
        posix.execve(program, arguments, {**variables, _MARK: b'%d' % posix.getpid()})
    except (OSError, ValueError):
        for number, before in changed:
            _signal.signal(number, before)
