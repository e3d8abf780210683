

# --- known to be safe ------------------------------------------------------------------
#
# The exceptions from the rule that what a prelude leaves, or does that every run would do, makes it unfit. All of
# them, each with its reason; tests/behaviour/hazards.py has a test of each.
#
# The threads of OpenBLAS are not in it. It ends them before a fork and makes them anew when they are needed, in
# handlers of pthread_atfork(3): whether a library does is found out by a fork (threads.cpp), not by its name, as its
# versions differ in that (OpenBLAS#5520) and one without threads (OPENBLAS_NUM_THREADS=1) needs no exception.

KNOWN_SAFE = {
    'device left open': {
        # No position, no state, the same for everybody who has it open.
        b'/dev/null', b'/dev/zero', b'/dev/full', b'/dev/random', b'/dev/urandom',
    },
    'thread of a library': {
        # numexpr, which pandas imports if it is there, compares process ids before it hands out work, and makes
        # its threads anew in a fork (interpreter.cpp, module.cpp: init_threads).
        b'/numexpr/interpreter.',
    },
    'socket bound': {
        # urllib3 and others ask so whether there is IPv6, at import. Any free port of the own machine; that the
        # socket is closed again is looked at as with all of them.
        ('127.0.0.1', 0), ('::1', 0), ('localhost', 0),
    },
    'reads a clock': {
        'importlib._bootstrap', 'importlib._bootstrap_external',  # for code in C that they load, keeping none of it
        'logging',  # put right in every command: set_clocks()
        'queue', 'selectors', 'subprocess', 'threading',  # to know how long to wait yet
    },
    'child process': {
        # Command lines, and the files that they read.
        ('/sbin/ldconfig', '-p'): (b'/etc/ld.so.cache',),  # ctypes.util.find_library()
        ('uname', '-p'): (),  # platform.processor(): of the machine
        ('file', '-b', 'python'): (b'/usr/bin/file',),  # platform.architecture(), of the interpreter
    },
    'of the process': {
        # Below /proc/PID: the same in a fork, or of the machine and of namespaces that clients share (a client in
        # others is run plainly).
        b'auxv', b'exe', b'maps', b'mountinfo', b'mounts',
    },
    'draws random numbers': {
        # What they draw at their import is drawn anew for every command: after_fork().
        'multiprocessing.process', 'numpy.random', 'random',
        'secrets',  # which keeps none of it: its generator asks the kernel
    },
    'keeps the arguments': {
        # (name, what is made of each). It makes them once, at its import: put right in every command.
        'mercurial.pycompat': ('sysargv', lambda text: text.encode(sys.getfilesystemencoding(), 'surrogateescape')),
    },
    'finder that only delays': {
        # The name that it has for the finder which does the work: what that finds is loaded when it is used.
        ('hgdemandimport.demandimportpy3', 'LazyFinder'): '_finder',
    },
    'variable set in C': {
        # readline, for programs that are started from it, from the size of a window that is part of the key: set
        # again in every command.
        b'COLUMNS', b'LINES',
    },
    'written': {
        # With the same effect by whoever comes first: compiled modules, and what nobody gets.
        b'__pycache__', b'/dev/null',
    },
}


def is_stateless(device):
    return device in KNOWN_SAFE['device left open']


def is_safe_library(path):
    return any(part in path for part in KNOWN_SAFE['thread of a library'])


def delayed_by(finder):
    """The finder that does the work of one that only delays, or None; and the name of its type."""
    kind = type(finder)
    key = kind.__module__, kind.__name__
    name = KNOWN_SAFE['finder that only delays'].get(key)
    return (object.__getattribute__(finder, name), '%s:%s' % key) if name is not None else (None, None)


def is_set_again(variable):
    return variable in KNOWN_SAFE['variable set in C']


def is_safe_child(words):
    """What it reads is then in the trace."""
    interpreter = counted_identity(_bytes_of(sys.executable or ''))
    words = tuple('python' if word[:1] == '/' and counted_identity(_bytes_of(word)) == interpreter else word
                  for word in words)
    files = KNOWN_SAFE['child process'].get(words)
    for path in files or ():
        trace_file(path)
    return files is not None


def is_renewed(module):
    """`module`, or None, and what is in it."""
    names = (module or '').split('.')
    return any('.'.join(names[:count]) in KNOWN_SAFE['draws random numbers'] for count in range(1, len(names) + 1))


def is_bound_for_a_look(address):
    return isinstance(address, tuple) and address[:2] in KNOWN_SAFE['socket bound']


def is_of_process(path):
    """Below /proc/PID, and not the same for all commands of a template."""
    parts = path.split(b'/')
    if parts[1:2] != [b'proc']:
        return path.startswith((b'/dev/fd/', b'/dev/std'))
    return (parts[2:3] in ([b'self'], [b'thread-self']) or parts[2].isdigit()) and \
        parts[3] not in KNOWN_SAFE['of the process']


def is_in_cache(path):
    """Of the user's (XDG Base Directory Specification)."""
    text = path if isinstance(path, bytes) else path.encode('utf-8', 'replace') if isinstance(path, str) else b''
    environ = dict(dict.items(posix.environ))  # not a read of the prelude's
    home = environ.get(b'HOME', b'')
    cache = environ.get(b'XDG_CACHE_HOME') or (home + b'/.cache' if home else b'')
    return bool(cache) and (text + b'/').startswith(cache + b'/')


def _has_safe_name(path):
    text = path if isinstance(path, bytes) else path.encode('utf-8', 'replace') if isinstance(path, str) else b''
    # Below /dev/null nothing can be: a cache that is not wanted is put there, and every run fails to write it.
    return text.startswith(b'/dev/null/') or \
        any(text == name or name in text.split(b'/') for name in KNOWN_SAFE['written'])


def is_reproducible(path):
    """What is known to be safe to make, and what a program keeps in the user's cache: a run finds it there or
    makes it, with the same effect."""
    return _has_safe_name(path) or is_in_cache(path)


def is_reproducible_write(path, flags):
    """Of a file in the cache one that is not there yet, or is replaced: to what a run adds to it or changes in it
    another run would add more, and what it makes of what it has read in it another run would make once more."""
    if _has_safe_name(path):
        return True
    if not is_in_cache(path) or flags & posix.O_APPEND:
        return False
    path = _absolute(path)
    note_files()
    if path in Trace.written:
        return True
    if Trace.files.get(path, NOTHING) != NOTHING:
        return False  # it has been read
    return flags == 0 or counted_identity(path) == NOTHING
