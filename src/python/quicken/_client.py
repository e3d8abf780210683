"""A Python process that becomes quicken's native client, by exec, for the script that it runs.

It leaves what the interpreter itself has changed as it found it: the
environment is the one that the process was started with (in the C locale an
interpreter adds LC_CTYPE, PEP 538), SIGPIPE and SIGXFSZ have their default
again. What the program has changed so far its next run changes again.
"""

import os
import sys

MARK = 'QUICKEN_HANDED_OVER'  # common/target.hpp: the last variable of the environment

_FLAGS = b'bBdEIOPqRsStuv'  # a server's interpreter can have: common/target.cpp

# For type checkers alone (PEP 484): typing is slow to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple


def is_quickened() -> bool:
    """Whether this is a process of quicken's: a template, a command, or what one has forked."""
    answers: 'List[object]' = []
    sys.audit('quicken.present', answers)
    return bool(answers)


def was_handed_over() -> bool:
    """Whether this is the plain run that a client has made of a process that had become one; forgets it."""
    return os.environ.pop(MARK, None) == str(os.getpid())


def command_line() -> 'Optional[Tuple[List[bytes], List[bytes], List[bytes]]]':
    """Of this process, as python(1) reads it: the interpreter's options, --file SCRIPT or -m MODULE, the program's
    arguments. None if it runs something else, or in a way that no server does."""
    words = _read('cmdline')[1:]
    options: 'List[bytes]' = []
    while words and words[0][:1] == b'-' and words[0] != b'-':
        word = words.pop(0)
        if word == b'--':
            break
        flags, letter, value = _split(word)
        if letter not in (b'', b'X', b'W', b'm') or (letter and not value and not words):
            return None
        given = [word] if value or not letter else [word, words.pop(0)]
        if letter == b'm':
            options += [flags] if flags != b'-' else []
            return options, [b'-m', value or given[1]], words
        options += given
    if not words or words[0] == b'-':
        return None
    return options, [b'--file', words[0]], words[1:]


def _split(word: bytes) -> 'Tuple[bytes, bytes, bytes]':
    """Flags that a server's interpreter can have, with their '-'; the letter of the option that follows them, which has
    an argument or is none of those; that argument, if it is in the same word."""
    end = next((i for i in range(1, len(word)) if word[i] not in _FLAGS), len(word))
    return word[:end], word[end:end + 1], word[end + 1:]


def _read(name: str) -> 'List[bytes]':
    """What the kernel has kept of this process's exec, proc(5)."""
    try:
        with open('/proc/self/' + name, 'rb') as file:
            return file.read().split(b'\0')[:-1]
    except OSError:
        return []


def _environ() -> 'Dict[bytes, bytes]':
    """What this process was started with, as os.environ reads it: the first of a name counts."""
    found: 'Dict[bytes, bytes]' = {}
    for entry in _read('environ'):
        equals = entry.find(b'=', 1)
        if equals > 0:
            found.setdefault(entry[:equals], entry[equals + 1:])
    return found


def has_told_of_its_start() -> bool:
    """Whether this interpreter prints what it does, which the next one would print again."""
    return bool(sys.flags.verbose or 'importtime' in sys._xoptions or 'PYTHONPROFILEIMPORTTIME' in os.environ
                or os.environ.get('PYTHONCOERCECLOCALE') == 'warn')


def is_main_importing() -> bool:
    """Whether all that goes on is the program's main module, and what that imports: nothing that has come by a call
    of somebody else's, as tests and plugins are imported."""
    main = sys.modules.get('__main__')
    names = getattr(main, '__dict__', None)
    frame = sys._getframe(1)
    while frame is not None:
        code, module = frame.f_code, frame.f_globals.get('__name__')
        ours = module in (__name__, 'instastart.auto', 'runpy') or code.co_filename.startswith('<frozen importlib')
        if not (ours or frame.f_globals is names or code.co_name == '<module>'):
            return False
        frame = frame.f_back  # type: ignore[assignment]
    return True


def find(name: str) -> 'Optional[str]':
    """A program of quicken's: of the installation that this package is part of, else on PATH."""
    package = os.path.dirname(os.path.abspath(__file__))
    parts = package.split('/')
    places = ['/'.join([*parts[:-4], 'bin'])] if parts[-4:-1] == ['share', 'quicken', 'python'] else []
    for place in places + os.get_exec_path():
        path = place + '/' + name
        if os.access(path, os.X_OK) and _is_native(path):
            return path
    return None


def _is_native(path: str) -> bool:
    """Another program of that name may be a script."""
    try:
        with open(path, 'rb') as file:
            return file.read(4) == b'\x7fELF'
    except OSError:
        return False


def become(program: str, arguments: 'List[bytes]', mark: bool) -> None:
    """Executes it. Returns if that cannot be done, and nothing has changed then. `mark`: the plain run that may come
    of it is to know."""
    environ = _environ() or dict(os.environb)
    environ.pop(MARK.encode(), None)
    if mark:
        environ[MARK.encode()] = b'%d' % os.getpid()
    ignored = _end_ignoring()
    try:
        os.execve(program, [os.fsencode(program), *arguments], environ)
    except OSError:
        _ignore(ignored)


def _end_ignoring() -> 'List[int]':
    import _signal  # type: ignore  # signal itself makes enumerations, which takes longer than all of this
    found = [number for number in (_signal.SIGPIPE, _signal.SIGXFSZ) if _signal.getsignal(number) == _signal.SIG_IGN]
    for number in found:
        _signal.signal(number, _signal.SIG_DFL)
    return found


def _ignore(numbers: 'List[int]') -> None:
    import _signal
    for number in numbers:
        _signal.signal(number, _signal.SIG_IGN)
