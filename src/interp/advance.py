

# --- modules that are imported in advance ----------------------------------------------
#
# At the fork point, by the template. Each is watched as those of the prelude are (modules.py), but here nobody else
# runs, and what depends on the client is not part of the key. If one of them shows to be tainted the template
# gives up with what is left of the list, and another is started with that.

def import_in_advance(text, learns):
    """Imports the modules that are named, before the template waits. None, or why the template must give up:
    Imports.left is then what another one may try."""
    if Shared.on:
        return preload(text)
    names = [name for name in text.split() if sys.modules.get(name) is None or is_delayed(sys.modules[name])]
    if not names:
        return None
    if Imports.thread is None:
        begin_imports()
    if any(getattr(owner, name) or (owner, name) in Imports.kept for owner, name, *_rest in UNFIT_FLAGS):
        return None  # the prelude is, anyway
    Imports.learns = bool(learns)
    _begin_advance(names)
    finders = list(sys.meta_path)
    for name in names:
        try:
            if ':' in name:
                Imports.delaying = name
            elif name not in Imports.tainted:
                _import(name)
        except NotTaken as error:
            _refuse(name, NOT_TAKEN % error, str(error))
        except BaseException as error:
            Imports.tainted.setdefault(name, 'its import fails: ' + type(error).__name__)
    Imports.open = False
    sys.meta_path[:] = finders
    return _advance_failed(names)


def _import(name):
    ORIGINAL_IMPORT(name)
    module = sys.modules.get(name)
    if is_delayed(module):
        module.__spec__  # whoever looks loads it
    if Imports.delaying:
        _delay()


def _delay():
    """As the program has its finders when it imports the rest: what it does not use is not loaded here either."""
    module, _colon, name = Imports.delaying.partition(':')
    kind = getattr(loaded(module), name, None)
    if kind is not None:
        Imports.delaying = None
        sys.meta_path[:] = map(kind, sys.meta_path)
        Imports.state = _state()


ORIGINAL_IMPORT = builtins.__import__


def _begin_advance(names):
    Imports.advance = set(names)
    for each in (Imports.tainted, Imports.culprits, Imports.done):
        each.clear()
    Imports.state, Imports.world, Imports.exits = _state(), _world(), _exits()
    Imports.asked, Imports.printed = len(terminals_asked), printed()
    _random_used()
    Imports.open = True


def _advance_failed(names):
    bad = {name: why for name, why in Imports.tainted.items() if name in Imports.advance}
    if not bad:
        return None
    Imports.left = [name for name in names if name not in bad]
    name = next(iter(bad))
    return '%s, if imported in advance, %s' % (name, bad[name])


def refuse_after_import(reasons):
    """{name: why} of modules in which something is found when all imports are done."""
    for name, why in reasons.items():
        _refuse(name, why, name)
    if Imports.advance is not None and not Imports.advance.isdisjoint(reasons):
        Imports.left = [name for name in Imports.done if name not in reasons]


# --- for the next template

def is_found_by_name(name):
    """Whether an import of it, where the program starts, finds what has been imported."""
    parent = name.rpartition('.')[0]
    spec = Imports.specs.get(name) or spec_of(name)
    if getattr(spec, 'name', name) != name:  # it has put another into its place
        spec = _found_spec(name)
    if spec is None or not isinstance(spec.origin, str):
        return False
    place = spec.origin.rpartition('/')[0]
    if spec.submodule_search_locations is not None:
        place = place.rpartition('/')[0]
    places = sys.path if not parent else getattr(loaded(parent), '__path__', ())
    return place in [each or _directory() for each in places]


def with_packages(names, known):
    """Those whose packages are among them too, or are `known`, or namespaces only."""
    taken, whole = known.union(names), []
    for name in names:
        parts = name.split('.')
        parents = ['.'.join(parts[:i]) for i in range(1, len(parts))]
        if all(parent in taken or getattr(loaded(parent), '__file__', '') is None for parent in parents):
            whole.append(name)
    return whole


def fits_list(name):
    return name.isprintable() and ' ' not in name and name not in Imports.programs


def advanced_records():
    """The records `module` of a template that serves: what it has imported in advance."""
    return b''.join(_record(9, name.encode()) for name in Imports.done) if Imports.advance is not None else b''


def modules_for_next():
    """The records `module` and `refused` of common/trace.hpp that a template sends when it gives up."""
    if Imports.left is not None:
        refused = [(name, why) for name, why in Imports.tainted.items() if name in Imports.advance]
        texts = [(name.encode(), why.encode(), _file_of(Imports.culprits.get(name, name))) for name, why in refused]
        return b''.join([_record(9, name.encode()) for name in Imports.left] +
                        [_record(11, b'\0'.join(text)) for text in texts])
    names = [name for name in Imports.done
             if name not in Imports.tainted and fits_list(name) and is_found_by_name(name)]
    return b''.join(_record(9, name.encode()) for name in with_packages(names, Imports.started))


def _found_spec(name):
    """What an import of it would find; None if that is nothing, or cannot be said."""
    import _frozen_importlib
    parent, path = name.rpartition('.')[0], None
    try:
        if parent:
            spec = spec_of(parent) or _found_spec(parent)
            path = spec.submodule_search_locations
        return _frozen_importlib._find_spec(name, path) if path is not None or not parent else None
    except Exception:  # a finder's own
        return None


def _file_of(name):
    spec = spec_of(name) or _found_spec(name)
    return _bytes_of(spec.origin) if getattr(spec, 'has_location', False) else b''
