"""Console scripts that show and end the server of another one, an entry point of quicken.script.

    [project.scripts]
    helloc = "quicken.script:hello.cli._.main"
    helloctl = "quicken.ctl_script:hello.cli._.main"

`helloctl status` is then `quickenctl status` of the server of helloc, which is
looked for in the metadata of what is installed and in helloctl's directory.
"""

import sys as _sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, NoReturn

__all__ = ()  # any name is there, see quicken.script

_COMMANDS = ('status', 'explain', 'stop', 'restart', 'is-active', 'learn')
_USAGE = """\
usage: {name} status|explain [--json]
       {name} stop [--now]
       {name} restart|is-active
       {name} learn on|off
Shows, checks and ends the server of {scripts}, see quickenctl(1).
"""


def _fail(text: str, status: int = 1) -> 'NoReturn':
    _sys.stderr.write('%s: %s\n' % (_sys.argv[0].rpartition('/')[2], text))
    _sys.exit(status)


def _scripts(entry: str) -> 'List[str]':
    """Names of the console scripts that have this entry point."""
    from importlib.metadata import distributions
    return sorted({point.name for distribution in distributions() for point in distribution.entry_points
                   if point.group == 'console_scripts'
                   and point.value.partition('[')[0].replace(' ', '').replace(':', '.', 1) == entry})


def _installed(entry: str) -> 'List[str]':
    """Paths of those in the directory of this script, spelled as they are when they are run from there."""
    from os.path import exists
    directory = _sys.argv[0].rpartition('/')
    names = _scripts(entry)
    paths = [directory[0] + directory[1] + name for name in names]
    found = [path for path in paths if exists(path)]
    if not found:
        _fail('no console script is installed%s that has the entry point quicken.script:%s'
              % (' in ' + directory[0] if names else '', entry[len('quicken.script.'):]))
    return found


def _run(entry: str) -> int:
    scripts, arguments = _installed(entry), _sys.argv[1:]
    if not arguments or arguments[0] not in _COMMANDS or '--' in arguments:
        text = _USAGE.format(name=_sys.argv[0].rpartition('/')[2], scripts=', '.join(scripts))
        wanted = arguments[:1] in (['--help'], ['-h'])
        (_sys.stdout if wanted else _sys.stderr).write(text)
        return 0 if wanted else 2
    from quicken import _client, _hand_over
    variables = _client.environment()
    program = _client.find('quickenctl', variables)
    if program is None:
        _fail('quickenctl is not installed, neither next to the package quicken nor on PATH')
    options = _hand_over.interpreter()
    return _each(program, arguments, options or [], scripts, variables)


def _each(program: str, arguments: 'List[str]', options: 'List[bytes]', scripts: 'List[str]',
          variables: 'Any') -> int:
    """One script's is the usual case, and this process; of several that share the entry point one after the other."""
    from os import fsencode
    command = [b'quickenctl'] + [fsencode(argument) for argument in arguments] + options + [b'--file']
    for script in scripts[:-1]:
        import subprocess
        status = subprocess.call([*command, fsencode(script)], executable=program, env=variables)
        if status:
            return status
    from quicken import _client
    _client.execute(program, [*command, fsencode(scripts[-1])], variables)
    _fail('%s cannot be executed' % program)


class _Path:
    """Collects the names of an entry point; called, it runs quickenctl."""

    __slots__ = ('__names',)

    def __init__(self, names: str) -> None:
        self.__names = names

    def __getattr__(self, name: str) -> '_Path':
        if name[:2] == '__':
            raise AttributeError(name)
        return _Path(self.__names + '.' + name)

    def __call__(self) -> int:
        return _run(self.__names)


def __getattr__(name: str) -> _Path:
    if name[:2] == '__':
        raise AttributeError('module %r has no attribute %r' % (__name__, name))
    return _Path('quicken.script.' + name)
