"""From the interpreter that a console script starts to the native client, before the script has done anything.

What `site` may have written to a buffered stream by then is written again.
"""

import sys

from quicken import _client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

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
    words = _client.read('/proc/self/cmdline').split(b'\0')[:-1]
    options = _options(words)
    if options is None or not sys.executable:
        return None
    if not options:
        return [b'--python', _encoded(sys.executable)]
    return [] if _first_line_is(_encoded(sys.argv[0]), words[:1 + len(options)]) else None


def _is_unwanted(variables: 'Dict[bytes, bytes]') -> bool:
    """Run plainly: the user says so, the interpreter has printed what the next one would print again, or the client
    or a server has started this one."""
    if variables.get(b'QUICKEN_DISABLE', b'') not in (b'', b'0') or sys.flags.inspect:
        return True
    return _client.has_told_of_its_start(variables) or _client.is_quickened() or _client.was_handed_over()


def _become_client() -> None:
    variables = _client.environment()
    if _is_unwanted(variables):
        return
    program = _client.find('quicken', variables)
    options = interpreter() if program is not None else None
    if program is None or options is None:
        return
    script, arguments = _encoded(sys.argv[0]), [_encoded(argument) for argument in sys.argv[1:]]
    _client.execute(program, [b'quicken', b'run', *options, b'--file', script, b'--', *arguments], variables)


def _begin() -> None:
    global _decided
    _decided = True
    if sys.platform == 'linux' and sys.implementation.name == 'cpython' and sys.gettrace() is sys.getprofile() is None:
        try:
            _become_client()
        except OSError:
            pass  # no /proc: as if there were no client
    _client.was_handed_over()


def hand_over() -> None:
    """Go on in the client, if this is a console script's first step; otherwise, or if that cannot be, return."""
    if not _decided:
        if _is_script():
            _begin()
        else:
            _client.was_handed_over()


def hand_over_early(text: bytes) -> None:
    """The same of a script that has not begun, and whose text begins like that. For quicken.pth: to import re, as pip
    up to 25 has it, takes half as long as to start an interpreter."""
    if _decided:  # of a file that site reads twice
        return
    lines = text.partition(b'\nfrom quicken.script import ')[0].split(b'\n')
    if all(line[:1] in (b'', b'#') or line in _EARLY_LINES or line.startswith(b"'''exec' ") for line in lines):
        _begin()
