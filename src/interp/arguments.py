

# --- arguments during the prelude --------------------------------------------
#
# sys.argv and sys.orig_argv are lists of a type of ours while the prelude runs, and plain lists afterwards: the
# same objects, which a command fills anew, so that whoever holds them has the client's.

class Arguments:
    """What somebody looked at. The name of the program alone may be read: a spare serves only clients whose
    sys.argv[0] is the same if it was."""

    name_read = False
    read = False
    name = None      # sys.argv[0]
    program = None   # what runpy, or the code of an entry, makes of sys.argv[0]; None: what the client says
    given = None     # what was sys.argv; the program may have put another there
    original = None  # what was sys.orig_argv
    keepers = {}     # names of modules that keep them in a way that is known: how often they have looked


class WatchedList(list):
    __slots__ = ()
    __class__ = property(lambda self: list)

    def __radd__(self, other):
        return other + list(self) if isinstance(other, list) else NotImplemented

    def __reduce_ex__(self, protocol):
        return list, (list(self),)


WatchedList.__name__ = WatchedList.__qualname__ = 'list'
WatchedList.__module__ = 'builtins'


def _note_look(values, method, args):
    if values is Arguments.original:
        index = args[0] if method is list.__getitem__ else None
        if not (isinstance(index, int) and 0 <= index < len(ORIGINAL)):
            Watch.reason = Watch.reason or 'the prelude reads sys.orig_argv'
    elif method is list.__getitem__ and args[0] == 0:
        Arguments.name_read = True
    elif method is list.__iter__ and _looking() in KNOWN_SAFE['keeps the arguments']:
        Arguments.keepers[_looking()] = Arguments.keepers.get(_looking(), 0) + 1
    elif method is not list.__setitem__ or args != (0, Arguments.program):
        Arguments.read = True
        if Watch.called and not Imports.stack:
            stop(cause_of_end())  # the rest may be all that the program does


def _looking():
    """Name of the module whose code calls a method of them."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals is globals():
        frame = frame.f_back
    return frame.f_globals.get('__name__') if frame is not None else None


def _kept(module, values):
    """(what it keeps, what it would keep of these)"""
    name, make = KNOWN_SAFE['keeps the arguments'][module]
    return getattr(loaded(module), name, None), list(map(make, values))


def note_keeper(module):
    """At the end of its import: is it as it is known to be?"""
    count = Arguments.keepers.get(module)
    if count is None:
        return
    kept, expected = _kept(module, list.__getitem__(Arguments.given, slice(None)))
    if count != 1 or type(kept) is not list or kept != expected:
        Arguments.read = True


def _noted_look(method):
    def wrapper(self, *args, **options):
        _note_look(self, method, args)
        return method(self, *args, **options)
    return wrapper


for _name in ('__getitem__', '__iter__', '__len__', '__contains__', '__eq__', '__ne__', '__lt__', '__le__',
              '__gt__', '__ge__', '__repr__', '__add__', '__mul__', '__rmul__', '__reversed__', '__setitem__',
              '__delitem__', '__iadd__', '__imul__', 'append', 'extend', 'insert', 'remove', 'pop', 'clear', 'copy',
              'count', 'index', 'sort', 'reverse'):
    setattr(WatchedList, _name, _noted_look(getattr(list, _name)))


def watch_arguments():
    """From before `site`: what a .pth file reads of them every run reads."""
    Arguments.name = sys.argv[0]
    Arguments.given = sys.argv = WatchedList(sys.argv)
    if ORIGINAL is not None:
        Arguments.original = sys.orig_argv = WatchedList(sys.orig_argv)


def unwatch_arguments():
    set_type(Arguments.given, list)
    if ORIGINAL is not None:
        set_type(Arguments.original, list)


def restore_arguments(values):
    """Every holder of them has the client's."""
    if Shared.on:
        list.__setitem__(Arguments.given, slice(None), shared_arguments(values))
        return
    if ORIGINAL is not None:
        list.__setitem__(Arguments.original, slice(None), ORIGINAL + values[0 if ORIGINAL_HAS_SCRIPT else 1:])
    if Arguments.program is not None:
        values[0] = Arguments.program
    list.__setitem__(Arguments.given, slice(None), values)
    for module in Arguments.keepers:
        kept, expected = _kept(module, values)
        if type(kept) is list:
            kept[:] = expected
