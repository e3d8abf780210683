

# --- arguments during the prelude --------------------------------------------

class Arguments(list):
    """sys.argv while the prelude runs: notes that somebody looked at it.

    The name of the program alone may be read: a spare serves only clients
    whose sys.argv[0] is the same if it was."""

    __slots__ = ()
    watched = True
    name_read = False
    read = False
    name = None     # sys.argv[0]
    program = None  # what runpy, or the code of an entry, makes of sys.argv[0]; None: what the client says


def _note_read(method):
    def wrapper(self, *args):
        if Arguments.watched:
            if method is list.__getitem__ and args[0] == 0:
                Arguments.name_read = True
            elif method is not list.__setitem__ or args != (0, Arguments.program):
                Arguments.read = True
        return method(self, *args)
    return wrapper


for _name in ('__getitem__', '__iter__', '__len__', '__contains__', '__eq__', '__ne__', '__lt__', '__le__',
              '__gt__', '__ge__', '__repr__', '__add__', '__mul__', '__rmul__', '__reversed__', '__setitem__',
              '__delitem__', '__iadd__', 'append', 'extend', 'insert', 'remove', 'pop', 'clear', 'copy', 'count',
              'index', 'sort', 'reverse'):
    setattr(Arguments, _name, _note_read(getattr(list, _name)))


def watch_arguments():
    Arguments.name = sys.argv[0]
    sys.argv = Arguments(sys.argv)


def restore_arguments(values):
    """Give every holder of sys.argv the client's arguments; a plain list where only sys holds it."""
    Arguments.watched = False
    if Arguments.program is not None:
        values[0] = Arguments.program
    held = sys.argv
    if type(held) is not Arguments or sys.getrefcount(held) <= 3:
        sys.argv = values
    else:
        held[:] = values
