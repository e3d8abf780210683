"""Console scripts that run through quicken: `quicken.script:` before the entry point, `._.` for its colon.

    [project.scripts]
    hello = "hello.cli:main"
    helloc = "quicken.script:hello.cli._.main"

Both call hello.cli.main(); the second does so in quicken, from its second run
on on a warm server. Without `._.` the module itself is called. Where quicken's
programs are not installed, or do not suit, it is called here.

An installer makes a script of an entry point that begins with `from
quicken.script import hello`. That is a call of __getattr__ (PEP 562), which
goes on in the native client, with the script as its program, if there is one:
nothing has happened yet. In the server's interpreter, the one in which the
script has got past this line, it imports the module in advance.

No frame of this module is in the program's traceback: what imports and calls
it is made of functions in C.
"""

import builtins as _builtins
from _functools import partial as _partial  # type: ignore[import]
from _operator import methodcaller as _methodcaller

from quicken import warming as _warming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

__all__ = ()  # any name is there, and is the package of that name

_AST_ONLY = 0x400  # ast.PyCF_ONLY_AST, without the import of ast


class _Module:
    """A module, imported when it is called or asked for `_`, which is the module itself; other attributes are in it."""

    __slots__ = ('__name', '__load')

    def __init__(self, name: str) -> None:
        self.__name = name
        self.__load = _partial(_builtins.__import__, name, None, None, ('__name__',))

    def __getattr__(self, name: str) -> 'Any':
        if name[:2] == '__':  # what a decorator or a debugger looks for
            raise AttributeError(name)
        return _Module(self.__name + '.' + name)

    def __repr__(self) -> str:
        return '<entry point in %s, see quicken.script>' % self.__name

    _ = property(_methodcaller('_Module__load'))
    __call__ = property(_methodcaller('_Module__load'))  # looked up as calling it does, then called


def _chain(node: 'Any') -> 'Optional[List[str]]':
    """['hello', 'cli', '_', 'main'] of the expression hello.cli._.main."""
    names = []  # type: List[str]
    while type(node).__name__ == 'Attribute':
        names.insert(0, node.attr)
        node = node.value
    return [node.id] + names if type(node).__name__ == 'Name' else None


def _chains(node: 'Any') -> 'List[List[str]]':
    chain = _chain(node)
    if chain is not None:
        return [chain]
    found = []
    for field in getattr(node, '_fields', ()):
        value = getattr(node, field, None)
        for child in value if isinstance(value, list) else [value]:
            found += _chains(child)
    return found


def _import_in_advance(first: str) -> None:
    """Import the module that the script being warmed will ask `first` for."""
    import sys
    path = getattr(sys.modules['__main__'], '__file__', None)
    if path is None:
        return
    with open(path, 'rb') as file:
        tree = compile(file.read(), path, 'exec', _AST_ONLY, True)
    for chain in _chains(tree):
        if chain[0] == first:
            end = chain.index('_') if '_' in chain else len(chain)
            __import__('.'.join(chain[:end]))


def __getattr__(name: str) -> 'Any':
    if name[:2] == '__':
        raise AttributeError('module %r has no attribute %r' % (__name__, name))
    if _warming:
        _import_in_advance(name)
    else:
        from quicken import _hand_over
        _hand_over.hand_over()
    return _Module(name)
