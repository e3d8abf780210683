"""Makes `python script.py` fast from its second run on, wherever the script calls start().

    from instastart.auto import start, done
    import pandas

    def main():
        start()
        ...

    main()

Where a script imports this, in a plain interpreter, the process becomes
quicken's client, which has a fork of a warm interpreter go on from start():
so this import is to come before slow ones, and what comes before it is run
twice. In that warm interpreter it does nothing. The server is that of the
script, this interpreter and its options.

Nothing of this happens where nobody is served by it, and the script is run as if
start() and done() did nothing: for -c, standard input and interactive mode,
under a debugger, where a test or a plugin imports the script, where
quicken's programs are not installed.

INSTA_DISABLE   if set, and not to 0: run plainly
INSTA_TIMEOUT   seconds that an idle server stays, of the run that starts it; 0: it goes with the last run
INSTA_CMD=stop  end the script's server, do nothing else
"""

import os
import posix
import sys

from quicken import _client, done, serve, start

from instastart import _command_line

__all__ = ['done', 'serve', 'start']

# For type checkers alone (PEP 484): typing is slow to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List


def _is_set(name: str) -> bool:
    return os.environ.get(name, '') not in ('', '0')


def _can_be_served() -> bool:
    flags = sys.flags
    main = getattr(sys.modules.get('__main__'), '__file__', None)
    watched = sys.gettrace() is not None or sys.getprofile() is not None or _client.has_told_of_its_start(posix.environ)
    interactive = flags.interactive or flags.inspect or hasattr(sys, 'ps1')
    return bool(main and sys.executable and not watched and not interactive and _command_line.is_main_importing())


def _is_main(program: 'List[bytes]') -> bool:
    """Whether that is what __main__ is: the working directory may have changed, or a tool may run another script."""
    main = sys.modules['__main__']
    if program[0] == b'-m':
        name = os.fsdecode(program[1])
        return getattr(getattr(main, '__spec__', None), 'name', None) in (name, name + '.__main__')
    try:
        return os.path.samefile(program[1], main.__file__)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return False


def _stop(program: 'List[bytes]') -> None:
    variables = _client.environment()
    tool = _client.find('quickenctl', variables)
    if tool is not None:
        _client.execute(tool, [b'quickenctl', b'stop', *program], variables)
    raise SystemExit(0)


def _hand_over() -> None:
    if _client.is_quickened() or _client.was_handed_over() or not _can_be_served():
        return
    line = _command_line.command_line()
    if line is None or not _is_main(line[1]):
        return
    options, program, arguments = line
    manner = [b'--python', os.fsencode(sys.executable), b'--fork-point', b'start']
    manner += [b'--python-option=' + option for option in options]
    command = os.environ.get('INSTA_CMD', '')
    if command == 'stop':
        _stop([*manner, *program])
    if command:
        raise SystemExit('instastart: INSTA_CMD is %r; it can be stop' % command)
    if _is_set('INSTA_DISABLE') or _is_set('QUICKEN_DISABLE'):
        return
    variables = _client.environment()
    client = _client.find('quicken', variables)
    if client is not None:
        _client.execute(client, [b'quicken', b'run', *manner, *program, b'--', *arguments], variables)


_hand_over()
