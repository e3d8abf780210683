# The template's side in Python: this file and those that CMakeLists.txt puts
# behind it, one namespace. Compiled by template.cpp; no module refers to it,
# and the script never sees a frame of it.
#
# Works with every CPython from 3.8, also under -S, -I and -E: only modules that
# an interpreter always has are imported here.
import builtins
import io
import posix
import sys

STARTED_ENVIRON = dict(dict.items(posix.environ))  # whatever has become of posix.environ since, this is no read

FORK_POINT = '__quicken_fork_point__'


OWN_MODULES = {}


def _own_import(name):
    """A module for our use that the program does not find imported."""
    if name not in OWN_MODULES:
        before = set(sys.modules)
        OWN_MODULES[name] = __import__(name)
        for added in set(sys.modules) - before:
            del sys.modules[added]
    return OWN_MODULES[name]


# sys.orig_argv (3.10) up to the program's own arguments; of a script it includes all but the script.
ORIGINAL_HAS_SCRIPT = sys.argv[:1] not in (['-c'], ['-m'])
ORIGINAL = getattr(sys, 'orig_argv', None)
if ORIGINAL is not None:
    ORIGINAL = ORIGINAL[:len(ORIGINAL) - len(sys.argv) + (0 if ORIGINAL_HAS_SCRIPT else 1)]


def like_importlib(function, name):
    """`function` with frames that look like the import system's own, which tracebacks leave out and warnings do not
    count."""
    function.__code__ = function.__code__.replace(co_filename='<frozen importlib._bootstrap_external>', co_name=name)
    function.__name__ = function.__qualname__ = name
    return function


def is_delayed(module):
    """Whether it is loaded only once somebody looks into it (importlib.util.LazyLoader): we are nobody."""
    kind = type(module)
    return kind.__name__ == '_LazyModule' and kind.__module__ == 'importlib.util'


def loaded(name):
    """The module of that name, or None."""
    module = sys.modules.get(name)
    return None if is_delayed(module) else module


def spec_of(name):
    """Of a module, also of one that is delayed; None if there is none."""
    module = sys.modules.get(name)
    return object.__getattribute__(module, '__dict__').get('__spec__') if is_delayed(module) else \
        getattr(module, '__spec__', None)


class Unfit(BaseException):
    """The program cannot be served from this rung; the text says why."""
