

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


def is_set_again(variable):
    return variable in KNOWN_SAFE['variable set in C']


def is_bound_for_a_look(address):
    return isinstance(address, tuple) and address[:2] in KNOWN_SAFE['socket bound']


def is_reproducible(path):
    """What is known to be safe to write, and what a program keeps in the user's cache: a run finds it there or
    makes it, with the same effect (XDG Base Directory Specification)."""
    text = path if isinstance(path, bytes) else path.encode('utf-8', 'replace') if isinstance(path, str) else b''
    environ = dict(dict.items(posix.environ))  # not a read of the prelude's
    home = environ.get(b'HOME', b'')
    cache = environ.get(b'XDG_CACHE_HOME') or (home + b'/.cache' if home else b'')
    if bool(cache) and (text + b'/').startswith(cache + b'/'):
        return True
    return any(text == name or name in text.split(b'/') for name in KNOWN_SAFE['written'])
