

# --- what a prelude reads ---------------------------------------------------------
#
# The records of common/trace.hpp: from before the import of `site`, if that is imported, to the fork point, on both
# rungs. What has been read before that, or by the loader of shared libraries, is looked at later: if it has
# changed since the process was started it counts as changed.

NOTHING = bytes(56)  # identities are as trace.hpp has them
CHANGED = NOTHING[:8] + b'\1' + NOTHING[9:]  # no file's

UNTRACED = (b'/proc/', b'/sys/', b'/dev/')  # no files: what they say changes by itself

# What files.hpp notes
READ, ENTRY, WRITTEN, ATTRIBUTES, OF_PROCESS, RELATIVE, UNKNOWN = range(1, 8)


class Trace:
    on = False
    files = {}        # absolute path: its identity before it was first read
    entries = {}      # the same of what was looked at itself, links not followed
    opened = {}       # absolute path: its identity before code in C opened it to write
    directories = {}  # absolute path: {stem that was asked for: the entries that were found}
    listed = {}       # absolute path: all its entries before it was first listed
    variables = set()
    everything = False
    sweep = ()        # all names, while somebody who goes through the variables may be asking for each in turn
    swept = 0         # of these the first so many have been asked for
    in_passing = []   # and of those the ones that count only if the rest is not asked for
    written = set()   # absolute paths of what Python has made or replaced
    indexes = {}      # id of a FileFinder: what it knows, and that by stem
    plain_environ = posix.environ


PASSING = set(PASSING_VARIABLES.encode().split())


def _is_settled(name, patterns=tuple(each.encode() for each in SETTLED_VARIABLES.split())):
    return any(name.startswith(each[:-1]) if each[-1:] == b'*' else name == each for each in patterns)


def _bytes_of(path):
    return path.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()) if isinstance(path, str) else path


def _absolute(path):
    """As bytes; None if it is not the path of a file that is worth a look."""
    try:
        path = _bytes_of(posix.fspath(path))
    except (TypeError, UnicodeError):
        return None
    if path[:1] != b'/':
        path = _bytes_of(ORIGINALS['getcwd']()) + b'/' + path
    is_file = not path.startswith(UNTRACED) or path.startswith(b'/dev/shm/')
    return path if is_file and b'\0' not in path else None


def _entries(path):
    try:
        return [_bytes_of(name) for name in ORIGINALS['listdir'](path)]
    except OSError:
        return []


def _stem(name):
    return name.partition(b'.')[0]


def trace_file(path):
    """Before it is read."""
    path = _absolute(path)
    if path is not None and path not in Trace.files and path not in Trace.written and b'/__pycache__/' not in path:
        Trace.files[path] = counted_identity(path)


def trace_late(path):
    """After it was read, at some time since the process was started."""
    path = _absolute(path)
    if path is None or path in Trace.files:
        return
    identity = counted_identity(path)
    changed = int.from_bytes(identity[40:48], sys.byteorder) * 10**9 + int.from_bytes(identity[48:56], sys.byteorder)
    Trace.files[path] = CHANGED if changed >= STARTED else identity


def trace_listing(path):
    path = _absolute(path or b'.')
    if path is not None and path not in Trace.listed:
        Trace.listed[path] = _entries(path)


# Which argument is made or removed.
MADE = {'os.mkdir': 0, 'os.remove': 0, 'os.rename': 1, 'os.rmdir': 0, 'os.symlink': 1, 'os.link': 1}


def _is_own_caller(frame):
    """What the import system lists it looks for names in."""
    return frame is not None and frame.f_code.co_filename.startswith(('<frozen importlib', '<quicken>'))


def trace_event(event, arguments):
    """What is opened and looked at is noted in C."""
    if event == 'open':
        path, mode, flags = arguments
        if not isinstance(path, int) and isinstance(flags, int) and flags & posix.O_CREAT:
            note_files()  # what has been read of it was before
            Trace.written.add(_absolute(path))
    elif event in MADE:
        note_files()
        Trace.written.add(_absolute(arguments[MADE[event]]))
    elif event == 'import':
        if arguments[1] is not None:
            trace_file(arguments[1])
    elif event in ('os.chdir', 'ctypes.dlopen'):
        path = arguments[0]
        # A library's bare name is looked for in the system's cache of them.
        if isinstance(path, (str, bytes)):
            trace_file(path if event == 'os.chdir' or b'/' in _bytes_of(path) else '/etc/ld.so.cache')
    elif event in ('os.listdir', 'os.scandir'):
        path = arguments[0] if arguments else None
        if not _is_own_caller(sys._getframe().f_back.f_back):
            trace_listing(_path_of(path))


def _path_of(path):
    """As bytes, of an open directory too."""
    if path is None:
        return b'.'
    return posix.readlink(b'/proc/self/fd/%d' % path) if isinstance(path, int) else _bytes_of(posix.fspath(path))


# --- what C has seen (files.hpp)

def _noted_files():
    """(kind, identity, text) of each since the last time."""
    notes, at = take_files(), 0
    while at < len(notes):
        kind, length = (int.from_bytes(notes[each:each + 4], sys.byteorder) for each in (at, at + 4))
        yield kind, notes[at + 8:at + 64], notes[at + 64:at + 64 + length]
        at += 64 + length


def note_files():
    """Into the trace, and what makes a prelude unfit."""
    for kind, identity, text in _noted_files():
        if kind == READ:
            if text not in Trace.written:
                Trace.files.setdefault(text, identity)
        elif kind == ENTRY:
            if text not in Trace.written:
                Trace.entries.setdefault(text, identity)
        elif kind == WRITTEN:
            if text not in Trace.written:
                Trace.opened.setdefault(text, identity)
        elif kind == RELATIVE:
            Watch.directory_read = True
        else:
            note_deed(kind, text)


def _end_files():
    """At the fork point: what the prelude has written is for the next run to find as it is now."""
    note_files()
    watch_files(False)
    for path, before in Trace.opened.items():
        now = counted_identity(path)
        if path in Trace.written:
            continue
        if now != before and not (before == NOTHING and is_in_cache(path)):
            Watch.reason = Watch.reason or 'the prelude writes ' + repr(path)
        Trace.files.setdefault(path, before)
        if now != before:
            Trace.files[path] = now
    for path in filter(None, Trace.written):
        now = counted_identity(path)
        if (now != NOTHING or path in Trace.files) and b'/__pycache__/' not in path:
            Trace.files[path] = now
        Trace.entries.pop(path, None)
    forget_files()


# --- modules

def _path_stats(self, path):
    """SourceFileLoader.path_stats: what the import takes for the file's identity, and the rest of it."""
    if Trace.on:
        trace_file(path)
    return PATH_STATS(self, path)


def _find_spec(self, fullname, target=None):
    """FileFinder.find_spec: one name, looked for in one directory."""
    if not Trace.on:
        return FIND_SPEC(self, fullname, target)
    tail = fullname.rpartition('.')[2]
    _trace_package(self.path, tail)
    found = FIND_SPEC(self, fullname, target)
    trace_lookup(self, tail)
    return found


_quiet_stat = make_quiet(posix.stat)


def _trace_package(directory, tail):
    """A directory of that name is a package only with an __init__ in it."""
    path = _absolute(directory + '/' + tail)
    if path is None or b'__init__' in Trace.directories.get(path, ()):
        return
    try:
        if _quiet_stat(path).st_mode & 0o170000 != 0o040000:
            return
    except OSError:
        return
    found = [name for name in _entries(path) if _stem(name) == b'__init__']
    Trace.directories.setdefault(path, {})[b'__init__'] = found


def trace_lookup(finder, tail):
    """With the entries that the import saw: a finder lists its directory once."""
    path, stem = _absolute(finder.path), _bytes_of(tail)
    if path is None or not stem:
        return
    asked = Trace.directories.setdefault(path, {})
    if stem in asked:
        return
    cache = finder._path_cache
    known, index = Trace.indexes.get(id(finder), (None, None))
    if known is not cache:
        index = {}
        for name in map(_bytes_of, cache):
            index.setdefault(_stem(name), []).append(name)
        Trace.indexes[id(finder)] = cache, index
    asked[stem] = index.get(stem, [])


def _trace_earlier_modules(finder_type):
    """Those that are there before the first of our hooks."""
    names = []
    for name in list(sys.modules):
        spec = spec_of(name)
        if spec is not None and getattr(spec, 'has_location', False):
            trace_late(spec.origin)
            names.append(name.rpartition('.')[2])
    for finder in sys.path_importer_cache.values():
        if type(finder) is finder_type:
            for name in names:
                trace_lookup(finder, name)

def begin_trace():
    global PATH_STATS, FIND_SPEC
    import _frozen_importlib_external as external
    _trace_earlier_modules(external.FileFinder)
    PATH_STATS, FIND_SPEC = external.SourceFileLoader.path_stats, external.FileFinder.find_spec
    external.SourceFileLoader.path_stats, external.FileFinder.find_spec = _path_stats, _find_spec
    _exchange_environ(Trace.plain_environ, Environ(Trace.plain_environ))
    # Where the import system looks for names is known from its finders.
    external._os = type(sys)('posix')
    external._os.__dict__.update(posix.__dict__, stat=_quiet_stat)
    Trace.on = True
    watch_files(True)


def end_trace():
    import _frozen_importlib_external as external
    Trace.on = False
    _end_files()
    external._os = posix
    if external.SourceFileLoader.path_stats is _path_stats:
        external.SourceFileLoader.path_stats = PATH_STATS
    if external.FileFinder.find_spec is _find_spec:
        external.FileFinder.find_spec = FIND_SPEC
    _put_environ_back()
