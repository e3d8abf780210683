"""From the interpreter that a console script starts to the native client, by exec: the same process, as it was.

What the interpreter has changed of it since is undone: of the signals, SIGPIPE
and SIGXFSZ, which it ignores (they were not ignored before, or no program in
Python can tell), and SIGINT, which exec(2) makes default again; the
environment is the one of /proc/self/environ, without the LC_CTYPE of PEP 538
and what `site` has made of it. Nothing is flushed: what `site` may have
written to a buffered stream is written again.

Two things keep a script from going round in circles. A command is a child of
quicken-server. And where the client runs a script plainly that is by exec as
well, so it is the process that the environment has a mark of.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

_MARK = b'QUICKEN_SCRIPT'
_SERVER = b'quicken-server'
_AT_HOME = '/share/quicken/python/quicken'  # of PREFIX

# What a script may use before it asks for the entry point, and all that one may which asks for it by its metadata
# (setup.py develop and install): nothing that has an effect, so that the script can be run anew from its top.
_HARMLESS = {'re', 'sys', '__doc__', '__annotations__'}
_BY_METADATA = _HARMLESS | {
    '__requires__', 'importlib.metadata', 'distribution', 'ImportError', 'importlib_metadata', 'pkg_resources',
    'load_entry_point', 'importlib_load_entry_point', 'globals', 'setdefault', '__name__', 'sub', 'argv', 'exit'}

# What a script may consist of up to that, beside comments and the call of its interpreter where the path is too long
# for a #! line.
_EARLY_LINES = (b'import re', b'import sys', b"' '''")

_decided = False


def _is_beginning(names: 'List[str]') -> bool:
    """Has the script, of whose code these are the names in the order of their use, done nothing so far?"""
    for index, name in enumerate(names):
        if name == 'quicken.script':
            return _HARMLESS.issuperset(names[:index])
    return _BY_METADATA.issuperset(names)


def _is_script() -> bool:
    """Is this the main script's own doing, and the first that it does?"""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    main = sys.modules['__main__']
    return (frame.f_globals is main.__dict__ and frame.f_code.co_name == '<module>' and hasattr(main, '__file__')
            and main.__spec__ is None and _is_beginning(list(frame.f_code.co_names)))


def _read(path: str) -> bytes:
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
    for entry in _read('/proc/self/environ').split(b'\0'):
        equals = entry.find(b'=', 1)
        if equals > 0:
            variables.setdefault(entry[:equals], entry[equals + 1:])
    return variables


def _encoded(text: str) -> bytes:
    return text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _options(words: 'List[bytes]') -> 'Optional[List[bytes]]':
    """The interpreter's options in its command line; None if that is not `python [OPTION...] SCRIPT [ARG...]`."""
    count = len(sys.argv)
    if len(words) <= count or words[-count:] != [_encoded(word) for word in sys.argv]:
        return None
    return words[1:-count]


def _first_line_is(path: bytes, words: 'List[bytes]') -> bool:
    """Is it `words` that the kernel makes of the script's #! line? See execve(2)."""
    with open(path, 'rb') as file:
        line = file.readline(256)
    return line[:2] == b'#!' and line[2:].split(None, 1)[:1] == words[:1] and (
        [word.strip() for word in line[2:].split(None, 1)[1:]] == words[1:])


def interpreter() -> 'Optional[List[bytes]]':
    """The client's options for this interpreter: none if the script's #! line has options, which it then reads itself.
    None if only a plain run has the options that this one has."""
    words = _read('/proc/self/cmdline').split(b'\0')[:-1]
    options = _options(words)
    if options is None or not sys.executable:
        return None
    if not options:
        return [b'--python', _encoded(sys.executable)]
    return [] if _first_line_is(_encoded(sys.argv[0]), words[:1 + len(options)]) else None


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


def _is_unwanted(variables: 'Dict[bytes, bytes]') -> bool:
    """Run plainly: the user says so, the interpreter has printed what the next one would print again, or the client
    or a server has started this one."""
    if variables.get(b'QUICKEN_DISABLE', b'') not in (b'', b'0') or sys.flags.verbose or sys.flags.inspect:
        return True
    if b'PYTHONPROFILEIMPORTTIME' in variables or variables.get(b'PYTHONCOERCECLOCALE') == b'warn':
        return True
    return variables.get(_MARK) == b'%d' % posix.getpid() or _is_command()


def _is_command() -> bool:
    try:
        return _read('/proc/%d/comm' % posix.getppid()).strip() == _SERVER
    except OSError:
        return False  # the parent is in another namespace, or gone


def forget_mark() -> None:
    """Take the mark out of the environment that the program sees. In a prelude this is no use of a variable."""
    variables = posix.environ  # type: Any
    if dict.__contains__(variables, _MARK):
        dict.__delitem__(variables, _MARK)
        posix.unsetenv(_MARK)


def execute(program: str, arguments: 'List[bytes]', variables: 'Dict[bytes, bytes]') -> None:
    """Returns if the program cannot be executed, with everything as it was.

    A SIGINT that comes before its action is changed is raised here as
    KeyboardInterrupt, by the call that changes it; one that comes later ends
    the process, as it does any that has just been started.
    """
    import _signal  # type: ignore[import]
    changed = []
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT):
        before = _signal.getsignal(number)
        if before in ((_signal.default_int_handler,) if number == _signal.SIGINT else (_signal.SIG_IGN,)):
            changed.append((number, _signal.signal(number, _signal.SIG_DFL)))
    try:
        posix.execve(program, arguments, variables)
    except (OSError, ValueError):
        for number, before in changed:
            _signal.signal(number, before)


def _client() -> None:
    variables = environment()
    if _is_unwanted(variables):
        return
    program = find('quicken', variables)
    options = interpreter() if program is not None else None
    if program is None or options is None:
        return
    script, arguments = _encoded(sys.argv[0]), [_encoded(argument) for argument in sys.argv[1:]]
    variables[_MARK] = b'%d' % posix.getpid()
    execute(program, [b'quicken', b'run', *options, b'--file', script, b'--', *arguments], variables)


def _begin() -> None:
    global _decided
    _decided = True
    if sys.platform == 'linux' and sys.implementation.name == 'cpython' and sys.gettrace() is sys.getprofile() is None:
        try:
            _client()
        except OSError:
            pass  # no /proc: as if there were no client
    forget_mark()


def hand_over() -> None:
    """Go on in the client, if this is a console script's first step; otherwise, or if that cannot be, return."""
    if not _decided:
        if _is_script():
            _begin()
        else:
            forget_mark()


def hand_over_early(text: bytes) -> None:
    """The same of a script that has not begun, and whose text begins like that. For quicken.pth: to import re, as pip
    up to 25 has it, takes half as long as to start an interpreter."""
    lines = text.partition(b'\nfrom quicken.script import ')[0].split(b'\n')
    if all(line[:1] in (b'', b'#') or line in _EARLY_LINES or line.startswith(b"'''exec' ") for line in lines):
        _begin()
