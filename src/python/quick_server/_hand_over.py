"""From `python3 script.py` to `quicken serve script.py`: the same process, by exec, before anything is served.

What the script has done until then is done once more. It is left alone where `quicken serve` would not run the same:
for -c, standard input, -m, under a debugger, where something else than the script itself asks for the server (a test
that imports it), where the user does not want it or there is no quicken. Then the script serves in its own process, by
the same engine. This is no circle: a script under a supervisor is known by its environment.
"""

import os
import sys
from typing import Any, Dict, List, Optional

_PREFIX = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../..'))
_PACKAGES = _PREFIX + '/share/quicken/python'  # of the packages `quicken` and `instastart`

_decided = False


def _is_scripts_own_call() -> bool:
    """Whether all that goes on is the main script, what that imports, and this package."""
    names = getattr(sys.modules.get('__main__'), '__dict__', None)
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get('__name__')).split('.')[0]
        frozen = frame.f_code.co_filename.startswith('<frozen importlib')
        ours = module in (__package__, 'runpy') or frozen or frame.f_code.co_name == '<module>'
        if not (ours or frame.f_globals is names):
            return False
        frame = frame.f_back  # type: ignore[assignment]
    return True


def _can_be_served() -> bool:
    if sys.platform != 'linux' or sys.implementation.name != 'cpython' or not sys.executable:
        return False
    if os.environ.get('QUICKEN_DISABLE', '') not in ('', '0') or 'QUICK_SERVER_RESTART' in os.environ:
        return False
    watched = sys.gettrace() is not None or sys.getprofile() is not None
    interactive = sys.flags.interactive or sys.flags.inspect or hasattr(sys, 'ps1')
    return not watched and not interactive and _is_scripts_own_call()


def _import_client() -> Any:
    """The modules that know quicken's client and this process's command line; None if they are not installed."""
    sys.path.insert(0, _PACKAGES)
    try:
        from instastart import _command_line
        from quicken import _client
    except ImportError:
        return None
    finally:
        sys.path.remove(_PACKAGES)
    return _client, _command_line


def _is_main(script: bytes) -> bool:
    try:
        return os.path.samefile(script, str(getattr(sys.modules['__main__'], '__file__', None)))
    except OSError:
        return False  # the working directory has changed, or a tool runs another script


def find_serve(client: Any, variables: Dict[bytes, bytes]) -> Optional[str]:
    """The program `quicken` of an installation that has a supervisor."""
    program = client.find('quicken', variables)
    if program is None:
        return None
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(program)))
    return program if os.access(prefix + '/libexec/quicken/quicken-serve', os.X_OK) else None


def hand_over(arguments: Optional[List[bytes]] = None) -> None:
    """Returns where this process is to serve by itself. The first call decides. `arguments`: those of
    `quicken serve`, instead of this script and its own."""
    global _decided
    if _decided:
        return
    _decided = True
    modules = _import_client() if _can_be_served() else None
    if modules is None:
        return
    client, command_line = modules
    if client.is_quickened() or client.was_handed_over() or client.has_told_of_its_start(client.environment()):
        return
    variables = client.environment()
    program = find_serve(client, variables)
    if arguments is None:
        arguments = _own_command_line(command_line)
    if program is not None and arguments is not None:
        client.execute(program, [b'quicken', b'serve', *arguments], variables)


def _own_command_line(command_line: Any) -> Optional[List[bytes]]:
    line = command_line.command_line()
    if line is None:
        return None
    options, program, arguments = line
    if program[0] != b'--file' or not _is_main(program[1]):
        return None
    words = [b'--python', os.fsencode(sys.executable), *(b'--python-option=' + option for option in options)]
    return [*words, b'--', program[1], *arguments]
