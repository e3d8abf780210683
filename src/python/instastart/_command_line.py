"""How the process that imports instastart was started, and what it is doing."""

import sys

from quicken import _client

_FLAGS = b'bBdEIOPqRsStuv'  # a server's interpreter can have: common/target.cpp

# For type checkers alone (PEP 484): typing is slow to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple


def command_line() -> 'Optional[Tuple[List[bytes], List[bytes], List[bytes]]]':
    """Of this process, as python(1) reads it: the interpreter's options, --file SCRIPT or -m MODULE, the program's
    arguments. None if it runs something else, or in a way that no server does."""
    words = _client.read('/proc/self/cmdline').split(b'\0')[1:-1]
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
