

# --- modules: what each import does, and which may be done in advance ----------------
#
# The program of a template that gives up is run from its top by each command. What it imports may be imported
# before that, by the template of that rung, if nobody can tell: it does nothing but define, and nothing that it
# depends on had changed when the prelude imported it. So whatever is seen to happen is put down to the modules
# that are being imported at the time, which are tainted, or else to __main__, after which no more are taken.
#

class NotTaken(BaseException):
    """Ends the import of what imports a module that is not to be imported in advance."""


class Imports:
    stack = []       # of those being imported: [name, start, seconds in what it imports itself]
    done = []        # in the order in which they were completed, while `open`
    tainted = {}     # name: why it is not to be imported in advance
    culprits = {}    # name of one that is tainted: of whose doing it is
    specs = {}       # name: where it was found, of those that are done
    seconds = {}     # name: s for its import, without what it imports
    open = False     # nothing has happened yet that a later import could depend on
    advance = None   # what may be imported, while that is done in advance
    learns = False   # learning is on: what it asks for is then worth a template for each answer
    state = world = namespaces = None
    exits = 0
    asked = 0
    printed = 0
    randoms = {}
    last = None      # the last that was completed
    beginning = 0    # line of __main__'s last import before it does something else
    started = set()  # what was there before
    thread = None    # whose imports these are; None before the program's
    programs = ()    # names of the module that is run as __main__, which would be told if it were imported before
    kept = {}        # what was taken from FLAGS
    left = None      # for the next template
    delaying = None  # MODULE:TYPE of finders that delay, once that is there


# (owner, name, value if there was nothing, what it means; None: the value says it)
FLAGS = ((Watch, 'reason', None, None), (Watch, 'directory_read', False, 'reads the working directory'),
         (Watch, 'temporary_made', False, 'makes a temporary file'), (Arguments, 'read', False, 'reads sys.argv'),
         (Arguments, 'name_read', False, 'reads sys.argv[0]'))
UNFIT_FLAGS = [flag for flag in FLAGS if flag[1] not in ('directory_read', 'name_read')]
# These may decide what the program does next, and that be otherwise in another run.
DECIDING = ('reason', 'read')

# Functions of the standard library for the end, which do nothing where their module has not been used.
HARMLESS_EXITS = ('concurrent.futures.process', 'concurrent.futures.thread', 'logging', 'multiprocessing.util')

perf_counter = _own_import('time').perf_counter
_thread, _signal, _locale = _own_import('_thread'), _own_import('_signal'), _own_import('_locale')


def _state():
    """What an import can depend on or change, as far as it is looked at after each one: some µs."""
    warnings = loaded('warnings') or loaded('_warnings')
    try:
        fd = posix.dup(2)  # the lowest that is free: each that is left open raises it
        posix.close(fd)
    except OSError:
        fd = None
    environ = dict(dict.items(posix.environ))  # not a read of the prelude's
    return (environ, list(sys.path), list(map(id, sys.meta_path)), list(map(id, sys.path_hooks)),
            list(getattr(warnings, 'filters', ())), fd, _thread._count())


STATE_WORDS = ('changes the environment', 'changes sys.path', 'changes sys.meta_path', 'changes sys.path_hooks',
               'changes the filters of warnings', 'leaves an fd open', 'leaves a running thread')


def _exits():
    atexit = loaded('atexit')
    return atexit._ncallbacks() if hasattr(atexit, '_ncallbacks') else 0


SYS_NAMES = ('breakpointhook', 'displayhook', 'dont_write_bytecode', 'excepthook', 'modules', 'pycache_prefix',
             'stderr', 'stdin', 'stdout', 'unraisablehook')


def _world():
    """The rest, looked at after what __main__ imports."""
    return (_directory(), list(map(_signal.getsignal, range(1, 32))), _locale.setlocale(_locale.LC_ALL, None),
            [id(getattr(sys, name, None)) for name in SYS_NAMES], sys.getrecursionlimit(), sys.gettrace(),
            sys.getprofile(), list(map(id, vars(builtins).values())))


WORLD_WORDS = ('changes the working directory', 'handles signals', 'changes the locale', 'changes sys',
               'changes the limit of recursion', 'traces', 'profiles', 'changes builtins')


def _changed(words, before, after):
    """What is not as it was, in words."""
    return next((text for text, a, b in zip(words, before, after) if a != b), None)


def _directory():
    try:
        return ORIGINALS['getcwd']()
    except OSError:
        return None


def _namespaces():
    """What names mean in each module, by id(): held are none of them."""
    return {name: list(map(id, list(vars(module).values()))) for name, module in list(sys.modules.items())
            # Others may do something when they are asked; in runpy a name of ours is put back.
            if name not in ('__main__', 'runpy', 'sys') and type(module) is type(sys)}


def _main_line():
    """Of __main__, where it imports something; 0 if that is done by who runs it."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get('__name__') == '__main__' and frame.f_code.co_name == '<module>':
            return frame.f_lineno
        frame = frame.f_back
    return 0


def note_beginning(body, ast):
    """Up to where __main__ does nothing but import: there nobody puts something into modules, and to look for that
    at each import would take as long as many of them do."""
    for node in body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not text and not isinstance(node, (ast.Import, ast.ImportFrom)):
            break
        Imports.beginning = node.lineno


def _names_changed(before, after, importing):
    """Whether __main__ has put something else into a module, or for one."""
    for name in after.keys() - before.keys() - {importing}:
        spec = spec_of(name)
        if getattr(spec, 'origin', None) not in ('built-in', 'frozen'):
            return True
    # The last import has bound its module in its package when it was over for us.
    last = id(sys.modules.get(Imports.last))
    for name, values in before.items():
        now = after.get(name)
        if now != values and (now is None or now[-1:] != [last] or now[:-1] != values):
            return True
    return False


def _take_flags():
    """(why, whether it may decide what is done next) of what has been noted since the last look."""
    found, decides = None, False
    note_files()
    note_draws()
    for owner, name, nothing, words in FLAGS:
        value = getattr(owner, name)
        if value != nothing:
            Imports.kept.setdefault((owner, name), value)
            setattr(owner, name, nothing)
            found = words or value.replace('the prelude ', '')
            decides = decides or name in DECIDING
    return found, decides


def _random_used():
    used = False
    for name in ('random', 'numpy.random'):
        module = loaded(name)
        if not hasattr(module, 'getstate' if name == 'random' else 'get_state'):
            continue  # its own import is not over
        state = _random_state(name)
        used = used or Imports.randoms.get(name, state) != state
        Imports.randoms[name] = state
    return used


def _seen_in_advance():
    """What counts only there: in a prelude the first is its key, the second is told to every client."""
    asked, Imports.asked = Imports.asked, len(terminals_asked)
    if asked != Imports.asked and not Imports.learns:
        return 'asks for a terminal'
    before, Imports.printed = Imports.printed, printed()
    if before != Imports.printed:
        return 'prints'
    world, Imports.world = Imports.world, _world()
    return _changed(WORLD_WORDS, world, Imports.world)


def _seen():
    """(why, whether it decides) of what has happened since the last look."""
    why, decides = _take_flags()
    state, before = _state(), Imports.state
    Imports.state = state
    if state != before:
        why = _changed(STATE_WORDS, before, state)
        # What an fd or a thread is for another import does not ask.
        decides = decides or before[:5] != state[:5]
    if _random_used():
        why = why or 'seeds or uses random numbers'
    return why, decides


def _settle():
    """At the end of an import, with its name still on the stack."""
    why, decides = _seen()
    exits, Imports.exits = Imports.exits, _exits()
    if exits != Imports.exits and Imports.stack[-1][0] not in HARMLESS_EXITS:
        why = why or 'registers a function for the end'
    if Imports.advance is not None:
        why = why or _seen_in_advance()
    if why is not None:
        _taint(why)
    if decides and Imports.advance is None:
        Imports.open = False


NOT_TAKEN = 'imports %s, which is not imported in advance'


def _refuse(name, why, culprit):
    Imports.tainted.setdefault(name, why)
    Imports.culprits.setdefault(name, culprit)


def _taint(why, culprit=None):
    for name, *_rest in Imports.stack:
        _refuse(name, why, culprit or Imports.stack[-1][0])


def _settle_world(first):
    """When what __main__ has imported is complete: Imports.done[first:]."""
    world, Imports.world = Imports.world, _world()
    why = _changed(WORLD_WORDS, world, Imports.world)
    if why is not None:
        for name in Imports.done[first:]:
            Imports.tainted.setdefault(name, why)
        Imports.open = False
    elif _main_line() >= Imports.beginning:
        Imports.namespaces = _namespaces()


def _settle_main(name):
    """When __main__ imports something: what it has done itself is nobody else's."""
    why, _decides = _seen()
    if why is not None or _exits() != Imports.exits or _world() != Imports.world:
        Imports.open = False
    elif _main_line() > Imports.beginning and _names_changed(Imports.namespaces, _namespaces(), name):
        Imports.open = False


def _enter(name):
    if not Imports.stack and Imports.open and Imports.advance is None:
        _settle_main(name)
    if Imports.advance is not None and name not in Imports.advance:
        _taint(NOT_TAKEN % name, name)
        raise NotTaken(name)
    note_draws()  # they are of who imports it
    Imports.stack.append([name, perf_counter(), 0.0])
    return len(Imports.done)


def _leave(first, completed):
    name, start, within = Imports.stack[-1]
    note_draws()
    if not completed:
        _taint('an import within it fails' if Imports.stack[1:] else 'its import fails')
    if Imports.open:
        _settle()
    Imports.stack.pop()
    took = perf_counter() - start
    Imports.seconds[name] = Imports.seconds.get(name, 0.0) + took - within
    if Imports.stack:
        Imports.stack[-1][2] += took
    if Imports.open and completed is True:
        Imports.done.append(name)
        Imports.last = name
    if Imports.open and not Imports.stack and Imports.advance is None:
        _settle_world(first)


def _imported(original, name, completed, *args):
    if Imports.thread is None:
        return original(*args)
    if _thread.get_ident() != Imports.thread:
        _taint('imports in another thread')
        Imports.open = Imports.open and Imports.advance is not None
        return original(*args)
    first = _enter(name)
    done = False
    try:
        result = original(*args)
        done = completed
        if completed is True:
            Imports.specs[name] = getattr(args[1], '__spec__', None)
            note_keeper(name)
        return result
    finally:
        _leave(first, done)


def _spec_name(module):
    """By which it is imported; _decimal says otherwise of itself."""
    return getattr(getattr(module, '__spec__', None), 'name', module.__name__)


def _exec_module(self, module):
    """SourceFileLoader.exec_module."""
    _imported(ORIGINAL_LOADERS[0], _spec_name(module), True, self, module)
    if module.__name__ == 'multiprocessing.process':
        note_authkey()
    # As it was right after its import: a prelude that seeds it, or draws from it, leaves it otherwise.
    if module.__name__ in ('random', 'numpy.random'):
        Watch.random_states[module.__name__] = _random_state(module.__name__)


def _create_extension(self, spec):
    """ExtensionFileLoader.create_module: many do there what others do in exec_module, which follows."""
    return _imported(ORIGINAL_LOADERS[1], spec.name, 'created', self, spec)


def _exec_extension(self, module):
    _imported(ORIGINAL_LOADERS[2], _spec_name(module), True, self, module)


for _function, _name in ((_imported, '_call_with_frames_removed'), (_exec_module, 'exec_module'),
                         (_create_extension, 'create_module'), (_exec_extension, 'exec_module')):
    like_importlib(_function, _name)


def _loaders():
    import _frozen_importlib_external as external
    return ((external.SourceFileLoader, 'exec_module', _exec_module),
            (external.ExtensionFileLoader, 'create_module', _create_extension),
            (external.ExtensionFileLoader, 'exec_module', _exec_extension))


def watch_loaders():
    global ORIGINAL_LOADERS
    ORIGINAL_LOADERS = [getattr(loader, name) for loader, name, _ours in _loaders()]
    # What a loader inherits is found again when ours is deleted.
    Imports.inherited = [name not in vars(loader) for loader, name, _ours in _loaders()]
    for loader, name, ours in _loaders():
        setattr(loader, name, ours)


def begin_imports():
    """Before the prelude, or what is imported in advance on the lower rung."""
    Imports.state, Imports.world, Imports.exits = _state(), _world(), _exits()
    Imports.namespaces = _namespaces()
    Imports.started = set(sys.modules)
    Imports.thread = _thread.get_ident()
    _random_used()
    begin_draws()
    Imports.open = True


def end_imports():
    """At the fork point."""
    note_draws()
    Imports.open = False
    for (loader, name, ours), original, inherited in zip(_loaders(), ORIGINAL_LOADERS, Imports.inherited):
        if vars(loader).get(name) is ours:
            if inherited:
                delattr(loader, name)
            else:
                setattr(loader, name, original)
    for (owner, name), value in Imports.kept.items():
        setattr(owner, name, getattr(owner, name) or value)
    Imports.namespaces = None


def module_times():
    """(name, seconds for its import without what that imports) of what the prelude has imported."""
    return list(Imports.seconds.items())
