

# --- what is told of the trace: records of common/trace.hpp --------------------------

def _trace_rest():
    """What nothing has told of."""
    executable = _bytes_of(sys.executable or '')
    if executable:
        trace_late(executable)
        directory = executable.rpartition(b'/')[0]
        for place in (directory, directory.rpartition(b'/')[0]):
            trace_late(place + b'/pyvenv.cfg')
    for name in list(sys.modules):
        origin = getattr(spec_of(name), 'origin', None)
        if isinstance(origin, str) and origin[:1] == '/':
            trace_late(origin)
    site = loaded('site')
    places = [path for path, finder in sys.path_importer_cache.items() if finder is None]
    if site is not None:
        places += site.getsitepackages() if hasattr(site, 'getsitepackages') else []
        places += [site.USER_SITE] if getattr(site, 'ENABLE_USER_SITE', False) and site.USER_SITE else []
    for path in filter(None, places):
        trace_late(path)  # a directory that is there is no file
    try:
        server = posix.readlink(b'/proc/%d/exe' % posix.getppid())
        if not server.endswith(b' (deleted)'):
            trace_late(server)
    except OSError:
        pass  # its process is not ours to look at
    _trace_libraries()


def _trace_libraries():
    with io.FileIO('/proc/self/maps') as maps:
        lines = maps.readall().splitlines()
    for path in {line.split(None, 5)[5] for line in lines if line.count(b'/')}:
        path = path.replace(b'\\012', b'\n')
        if path[:1] != b'/' or path.startswith(UNTRACED + (b'/memfd:', b'/SYSV')):
            continue
        if path.endswith(b' (deleted)'):  # replaced since
            Trace.files[path[:-len(b' (deleted)')]] = CHANGED
        else:
            trace_late(path)


def _record(kind, text=b'', identity=NOTHING):
    return kind.to_bytes(4, sys.byteorder) + len(text).to_bytes(4, sys.byteorder) + identity + text


def _directory_record(path):
    asked, found = Trace.directories.get(path, {}), Trace.listed.get(path)
    entries = {name for names in asked.values() for name in names}
    if found is not None:  # where names were asked for, what was found then
        entries.update(name for name in found if _stem(name) not in asked)
        asked = (b'*',)
    return _record(2, b'\0'.join((path, b'/'.join(sorted(asked)), b'/'.join(sorted(entries)))))


def _client_records():
    """What else the prelude has read of its first client."""
    if terminals_asked:
        yield _record(5, b''.join(b'%d%c' % (fd, b'ny'[was_terminal(fd)]) for fd in sorted(terminals_asked)))
    if sizes_asked:
        yield _record(6, b'%dx%d' % (ROWS, COLUMNS))
    if Watch.directory_read:
        yield _record(7, ORIGINALS['getcwdb']())
    if Arguments.name_read and Arguments.program is None:
        yield _record(8, _bytes_of(Arguments.name))


def trace_records(native):
    """All, as they are in the memfd. `native`: names of variables that C has seen, or None if all of them count."""
    _trace_rest()
    return _known_records(native) + advanced_records()


def last_records(native):
    """Of a template that gives up: of what has been told, for people, and for the next template."""
    return _known_records(native) + modules_for_next()


def _known_records(native):
    note_files()
    names = Trace.variables | set(Trace.in_passing) | set(native.split(b'\0') if native is not None else ())
    names.discard(b'QUICKEN_TEMPLATE')  # the hook's own question
    everything = Trace.everything or native is None
    if everything:
        names |= STARTED_ENVIRON.keys() - PASSING
    records = [_record(1, path, identity) for path, identity in Trace.files.items()]
    records += [_record(12, path, identity) for path, identity in Trace.entries.items()]
    records += map(_directory_record, Trace.directories.keys() | Trace.listed.keys())
    for name in names:
        if name and b'=' not in name and not _is_settled(name):
            value = STARTED_ENVIRON.get(name)
            records.append(_record(3, name if value is None else name + b'=' + value))
    if everything:
        records.append(_record(4))
    records += _client_records()
    records.append(_record(10, report()))
    for each in (Trace.files, Trace.entries, Trace.opened, Trace.directories, Trace.listed, Trace.variables,
                 Trace.written, Trace.indexes):
        each.clear()
    return b''.join(records)
