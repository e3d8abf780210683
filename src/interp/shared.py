

# --- a shared interpreter: modules first, then whichever script comes ---------------------
#
# It has no program of its own. What it is asked to import is imported at the fork point; each command has its script
# in its arguments, which are python3's, and runs it from its top as Py_RunMain does (shared.cpp).

class Shared:
    on = False
    kind = None       # of the client's program: file, module or code
    value = None      # its path, name or text
    first = 0         # of its own arguments, among all
    filename = None   # of a script, for the compiler, as bytes
    package = False   # a directory or an archive
    places = {}       # top-level name of what was preloaded: the directory that it was found in


def prepare_shared():
    Shared.on = True
    return Program('python', None)


# --- in the template

def preload(text):
    """As import_in_advance, but of names that the user has chosen: what they do to the interpreter every program has.
    Nobody is to be told of anything more, though."""
    names, bad = text.split(), {}
    if Imports.thread is None:
        begin_imports()
    Imports.open = False
    for name in names:
        why = _preload_one(name)
        if why is not None:
            bad[name] = why
    Imports.advance, Imports.done = set(names), names
    Imports.tainted.clear()
    Imports.tainted.update(bad)
    _note_places()
    if not bad:
        return None
    Imports.left = [name for name in names if name not in bad]
    return 'not preloaded: ' + '; '.join('%s: %s' % each for each in bad.items())


def _preload_one(name):
    """None, or why it must not be."""
    printed_before, state = printed(), _state()
    known, used = set(sys.modules), _used_generators()
    flags = [getattr(owner, flag) for owner, flag, *_rest in FLAGS]
    try:
        load_toolkit(name) or ORIGINAL_IMPORT(name)
    except BaseException as error:
        return 'its import fails: %s: %s' % (type(error).__name__, error)
    note_files()
    note_draws()
    if printed() != printed_before:
        return 'prints'
    for before, (owner, flag, _nothing, words) in zip(flags, FLAGS):
        if getattr(owner, flag) != before:
            return words or getattr(owner, flag).replace('the prelude ', '')
    if _used_generators() != used:
        return 'seeds or uses random numbers'
    if uses_gtk(set(sys.modules) - known):
        return 'imports GTK, which is not connected to a display before a program imports it'
    return _changed(STATE_WORDS[5:], state[5:], _state()[5:])  # fds and threads


def _used_generators():
    return [name for name, fresh in Watch.random_states.items() if _random_state(name) != fresh]


def _note_places():
    for name in set(sys.modules) - Imports.started:
        module = sys.modules.get(name.partition('.')[0])
        origin = getattr(getattr(module, '__spec__', None), 'origin', None)
        if origin in ('built-in', 'frozen'):
            continue  # found before any path is searched
        place = origin.rpartition('/')[0] if isinstance(origin, str) else None
        if getattr(module, '__path__', None) is not None and place is not None:
            place = place.rpartition('/')[0]
        Shared.places[name.partition('.')[0]] = place


# --- in the command

OTHER_GTK = 'the program asks for another version of GTK than the one that was preloaded'


def take_line(kind, value, first):
    Shared.kind, Shared.value, Shared.first = kind, value, first


def shared_arguments(words):
    """All that python3 would be given, for sys.orig_argv; returns what is sys.argv."""
    if ORIGINAL is not None:
        list.__setitem__(Arguments.original, slice(None), ORIGINAL[:1] + words)
    name = {'module': '-m', 'code': '-c'}.get(Shared.kind, Shared.value)
    return [name] + words[Shared.first:]


def begin_script():
    """What precedes the program's code. None, or why this process must not run it: nothing has happened yet."""
    reason = _begin_kind()
    if reason is None:
        hide_gtk()
    return reason


def _begin_kind():
    if Shared.kind == 'file':
        return _begin_file()
    if Shared.kind == 'code':
        if sys.version_info >= (3, 13):
            return 'this Python keeps the text of -c for tracebacks'
        try:
            source = Shared.value.encode()
        except UnicodeError:
            return 'the text of -c is not UTF-8'
        if other_gtk(source):
            return OTHER_GTK
        return _begin_at('')
    try:
        return _begin_at(posix.getcwd())
    except OSError:
        return 'the working directory has no path'


def _begin_at(place):
    if not _has_path_entry():
        return None
    sys.path.insert(0, place)
    return _shadowed(place or '.')


def _has_path_entry():
    return not (sys.flags.isolated or getattr(sys.flags, 'safe_path', False))


def _begin_file():
    path = Shared.value
    if path[0] != '/' and sys.version_info >= (3, 9):
        path = posix.getcwd() + ('' if path == '.' and sys.version_info >= (3, 11) else '/' + path)
    importer = _importer(path)
    if importer is not None:
        Shared.package = True
        sys.path.insert(0, path)
        return _shadowed_in(importer)
    return _begin_plain_file(path)


def _begin_plain_file(path):
    import _frozen_importlib_external
    with io.open_code(path) as file:
        source = file.read(-1 if Gtk.version else 2)
    if path.endswith('.pyc') or source[:2] == _compiled_magic()[:2]:
        return 'a compiled script'
    if other_gtk(source):
        return OTHER_GTK
    main = sys.modules['__main__'].__dict__
    main['__file__'] = path
    main['__cached__'] = None
    main['__loader__'] = _frozen_importlib_external.SourceFileLoader('__main__', path)
    Shared.filename = _bytes_of(path)
    return _begin_at(_script_directory(path))


def _importer(path):
    """PyImport_GetImporter."""
    if path not in sys.path_importer_cache:
        sys.path_importer_cache[path] = None
        for hook in sys.path_hooks:
            try:
                sys.path_importer_cache[path] = hook(path)
                break
            except ImportError:
                pass
    return sys.path_importer_cache[path]


# --- what the script's own directory has under the name of what was preloaded

def _shadowed(place):
    """A plain run would find it first. None, or the reason for one."""
    import _frozen_importlib_external as external
    try:
        entries = posix.listdir(place)
    except OSError:
        return None  # nothing is found there
    suffixes = external.SOURCE_SUFFIXES + external.BYTECODE_SUFFIXES + sys.modules['_imp'].extension_suffixes()
    for entry in entries:
        stem, dot, suffix = entry.partition('.')
        if stem not in Shared.places or Shared.places[stem] == place:
            continue
        if dot + suffix in suffixes or not dot and _is_package(place + '/' + entry):
            return 'there is a %s beside the program, which is found before the one that was preloaded' % entry
    return None


def _is_package(path):
    try:
        return any(entry.partition('.')[0] == '__init__' for entry in posix.listdir(path))
    except OSError:
        return False


def _shadowed_in(importer):
    find = getattr(importer, 'find_spec', None) or importer.find_module  # an archive's, before 3.10
    for name in Shared.places:
        if find(name) is not None:
            return 'the program has a %s of its own, which is found before the one that was preloaded' % name
    return None
