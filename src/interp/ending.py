

# --- at the command's end ------------------------------------------------------------------

hidden_modules = {}


def _attributes(names, gc):
    """(owner, name) of what the script has put into its own functions and classes, which stay."""
    found = []
    for value in names.values():
        if issubclass(type(value), type):  # isinstance() would ask the value itself
            if value.__module__ == '__main__':
                found += [(value, name) for name, held in vars(value).items()
                          if name[:2] != '__' and type(held).__flags__ & HEAP_TYPE
                          and not callable(held) and not hasattr(held, '__get__')]
        elif type(value) is type(_attributes) and value.__globals__ is names:
            # To ask a function for its __dict__ makes one.
            if sum(type(each) is dict for each in gc.get_referents(value)) > 1:
                found += [(value, name) for name in vars(value)]
    return found


PLAIN_TYPES = {type(None), bool, int, float, complex, str, bytes, bytearray, range}
MOST_ITEMS = 1024  # that are looked at


def _is_plain(value):
    """To release it does nothing but give its memory back, which for 400 MB takes 25 ms."""
    kind = type(value)
    if kind in (list, tuple):
        return len(value) <= MOST_ITEMS and PLAIN_TYPES.issuperset(map(type, value))
    if kind is dict:
        return len(value) <= MOST_ITEMS and PLAIN_TYPES.issuperset(map(type, value)) and \
            PLAIN_TYPES.issuperset(map(type, value.values()))
    return kind in PLAIN_TYPES


KEPT = (type(sys), type(_attributes), type(len), type)
REFERENCES = ('ReferenceType', 'weakref', 'weakproxy', 'weakcallableproxy')
SUSPENDED = ('generator', 'coroutine', 'async_generator')


def _turn(value, gc):
    """When it is released. What only refers to others is first: nobody is told of their end then. What has a finalizer
    comes before what that may use, and what holds such a thing next: plainly, all of them find the rest as it was."""
    kind = type(value)
    if kind.__name__ in REFERENCES:
        return 0
    if hasattr(kind, '__del__') or kind.__name__ in SUSPENDED:
        return 1
    held = _held_by([value], gc)
    held += _held_by(held, gc)
    return 2 if any(hasattr(type(each), '__del__') for each in held) else 3


def _held_by(values, gc):
    """To look at many would write to the pages of all of them: what is large is taken to be data."""
    looked_at = [each for each in values[:MOST_ITEMS]
                 if not issubclass(type(each), KEPT) and not (type(each) in CONTAINERS and len(each) > MOST_ITEMS)]
    return gc.get_referents(*looked_at)


CONTAINERS = (list, tuple, dict, set, frozenset)


def _released(names, gc):
    found = [(name, value) for name, value in names.items()
             if name[:2] != '__' and not issubclass(type(value), KEPT) and not _is_plain(value)]
    return [name for name, value in sorted(found, key=lambda each: _turn(each[1], gc))]


HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: only such a type can have a finalizer of the program's


LAST = {'last_type', 'last_value', 'last_traceback', 'last_exc'}  # hold all frames of an exception


def begin_release():
    """The script's names, those among them whose values the end of the interpreter releases, as far as it
    can be seen: files are closed, finalizers run, while functions, classes and modules are still there; and what
    those hold. Nothing new can be imported meanwhile, nor what shows source lines, and gc.callbacks are not called."""
    gc, threads = _own_import('gc'), _own_import('_thread')._count()
    gc.callbacks.clear()
    gc.enable()
    for name in LAST & vars(sys).keys():
        delattr(sys, name)
    names = getattr(sys.modules.get('__main__'), '__dict__', {})
    # All others as well would be references to count, each in a page that is still shared: 0.5 ms.
    for name in {'io', 'traceback'} & sys.modules.keys():
        hidden_modules[name], sys.modules[name] = sys.modules[name], None
    hidden_modules[None] = gc, sys.meta_path
    sys.meta_path = None
    # A daemon thread may still look at them until the process is gone.
    if threads != 0:
        return {}, [], []
    return names, _released(names, gc), _attributes(names, gc)


def end_release():
    gc, sys.meta_path = hidden_modules.pop(None)
    sys.modules.update(hidden_modules)
    for file in _open_files(gc):
        if file is not sys.stdout and file is not sys.stderr:
            _flush_quietly(file)


def _open_files(gc):
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    return [each for each in gc.get_objects() if type(each) in kinds]


def _flush_quietly(file):
    try:
        if not file.closed:
            file.flush()
    except (OSError, ValueError):
        pass  # as the finalizer of a file does outside development mode
