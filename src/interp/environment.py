

# --- which variables are read -------------------------------------------------------

def begin_sweep(names):
    """Who goes through all variables, by dict() or items(), then asks for each in turn: for none by its name."""
    Trace.everything = True
    Trace.variables.update(Trace.in_passing)
    Trace.sweep, Trace.swept, Trace.in_passing = names, 0, []


def _is_in_sweep(name):
    if Trace.sweep[Trace.swept:Trace.swept + 1] != [name]:
        return False
    Trace.swept += 1
    if name in PASSING:
        Trace.in_passing.append(name)
    if Trace.swept == len(Trace.sweep):
        Trace.sweep, Trace.in_passing = (), []
    return True


def trace_variable(name):
    if not isinstance(name, bytes):
        return
    if Trace.sweep and _is_in_sweep(name) or name in Trace.variables:
        return
    # argparse asks for the width to check an argument that it is given, and throws the answer away.
    if name not in (b'COLUMNS', b'LINES') or not _is_thrown_away(sys._getframe().f_back.f_back):
        Trace.variables.add(name)


class Environ(dict):
    """posix.environ, which os.environ and os.environb are views of, while the prelude runs."""

    __slots__ = ()


def _note_variable(method):
    def wrapper(self, name, *default):
        trace_variable(name)
        return method(self, name, *default)
    return wrapper


def _note_everything(method):
    def wrapper(self, *args):
        begin_sweep(list(dict.keys(self)))
        return method(self, *args)
    return wrapper


for _name in ('__getitem__', '__contains__', '__delitem__', 'get', 'pop', 'setdefault'):
    setattr(Environ, _name, _note_variable(getattr(dict, _name)))
for _name in ('__iter__', '__len__', '__eq__', '__ne__', '__repr__', '__reversed__', '__or__', '__ror__', 'keys',
              'values', 'items', 'copy', 'popitem'):
    if hasattr(dict, _name):
        setattr(Environ, _name, _note_everything(getattr(dict, _name)))


def _exchange_environ(old, new):
    """`new` for `old` wherever it is held as the data of os.environ."""
    if posix.environ is old:
        posix.environ = new
    os = loaded('os')
    for name in ('environ', 'environb'):
        view = getattr(os, name, None)
        if getattr(view, '_data', None) is old:
            view._data = new


def _put_environ_back():
    """The dictionary that there was, with what is in it now. Who holds the other one directly gets it filled by
    every command."""
    traced = posix.environ
    if type(traced) is not Environ:
        return
    now = dict(dict.items(traced))
    dict.clear(Trace.plain_environ)
    Trace.plain_environ.update(now)
    _exchange_environ(traced, Trace.plain_environ)
    if sys.getrefcount(traced) > 2:
        held_environs.append(traced)


# --- from the start to the records
