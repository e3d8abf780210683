# The template's side in Python: from what is to be run to code with a fork
# point in it, what makes a prelude unfit, and the command's view of argv,
# environment and streams. Compiled by template.cpp into a namespace of its
# own that no module refers to; the script never sees a frame of it.
#
# Works with every CPython from 3.8, also under -S, -I and -E: only modules that
# an interpreter always has are imported here.
import builtins
import io
import posix
import sys


FORK_POINT = '__quicken_fork_point__'


def _own_import(name):
    """A module for our use that the program does not find imported."""
    before = set(sys.modules)
    module = __import__(name)
    for added in set(sys.modules) - before:
        del sys.modules[added]
    return module


# sys.orig_argv (3.10) up to the program's own arguments; of a script it includes all but the script.
ORIGINAL_HAS_SCRIPT = sys.argv[:1] not in (['-c'], ['-m'])
ORIGINAL = getattr(sys, 'orig_argv', None)
if ORIGINAL is not None:
    ORIGINAL = ORIGINAL[:len(ORIGINAL) - len(sys.argv) + (0 if ORIGINAL_HAS_SCRIPT else 1)]


class Unfit(BaseException):
    """The program cannot be served from this rung; the text says why."""


# --- arguments during the prelude --------------------------------------------

class Arguments(list):
    """sys.argv while the prelude runs: notes that somebody looked at it.

    The name of the program alone may be read: a spare serves only clients
    whose sys.argv[0] is the same if it was."""

    __slots__ = ()
    watched = True
    name_read = False
    read = False
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


# --- what else a prelude may look at or touch -------------------------------------

class Watch:
    """What the prelude has been seen to do that depends on its client, or that every run would do."""

    directory_read = False
    on = False
    temporary_made = False
    reason = None
    random_states = {}


def _random_state(name):
    module = sys.modules.get(name)
    if module is None:
        return None
    if name == 'random':
        return module.getstate()
    kind, key, *rest = module.get_state()
    return kind, key.tobytes(), rest


def _exec_module(self, module):
    """A loader's exec_module that remembers how a random generator was right after its import: a prelude
    that seeds it, or draws from it, leaves it otherwise."""
    ORIGINAL_EXEC_MODULE(self, module)
    if module.__name__ in ('random', 'numpy.random'):
        Watch.random_states[module.__name__] = _random_state(module.__name__)


# Modules that keep the directory they were imported in, and the name that they keep it under: put right in
# every command, as their import would have.
DIRECTORY_KEEPERS = {'multiprocessing.process': 'ORIGINAL_DIR'}


def _watched_getcwd(function):
    def getcwd():
        caller = sys._getframe(1).f_globals.get('__name__')
        if caller not in DIRECTORY_KEEPERS and caller != 'posixpath':
            Watch.directory_read = True
        elif caller == 'posixpath' and sys._getframe(2).f_globals.get('__name__') not in DIRECTORY_KEEPERS:
            Watch.directory_read = True
        return function()
    return getcwd


def _set_directory():
    for name, attribute in DIRECTORY_KEEPERS.items():
        module = sys.modules.get(name)
        if module is not None:
            try:
                setattr(module, attribute, posix.getcwd())
            except OSError:
                setattr(module, attribute, None)


def note_event(event, arguments):
    """Audit events of the prelude (PEP 578), from C. What is only read is traced elsewhere; what is made or
    changed would have been made or changed by every run."""
    if Trace.on:
        trace_event(event, arguments)
    if not Watch.on:
        return
    if event == 'open':
        path, _mode, flags = arguments
        if isinstance(path, int):
            if path in (0, 1, 2):  # where it leads, and what that can do, is kept in the file object
                Watch.reason = 'the prelude opens fd %d' % path
            return  # another was opened by name before, which was noted then
        if isinstance(flags, int) and flags & (posix.O_WRONLY | posix.O_RDWR) and not _is_reproducible(path):
            Watch.reason = 'the prelude writes ' + repr(path)
        elif isinstance(path, (str, bytes)) and path[:1] not in ('/', b'/'):
            Watch.directory_read = True
        elif path in ('/dev/tty', b'/dev/tty'):
            Watch.reason = 'the prelude opens /dev/tty'
    elif event[:9] == 'tempfile.':
        Watch.temporary_made = True
    elif event == 'fcntl.ioctl':
        note_terminal(arguments[0])
    elif event in ('os.listdir', 'os.scandir'):
        path = arguments[0] if arguments else None
        if path is None or isinstance(path, (str, bytes)) and path[:1] not in ('/', b'/'):
            Watch.directory_read = True
    elif event in ('os.mkdir', 'os.remove', 'os.rename', 'os.rmdir', 'os.truncate', 'os.symlink', 'os.link'):
        if not _is_reproducible(arguments[0]):
            Watch.reason = 'the prelude changes files: ' + event
    elif event in ('os.fork', 'os.forkpty', 'os.system', 'os.kill', 'socket.connect', 'socket.bind'):
        Watch.reason = 'the prelude calls ' + event


def _is_reproducible(path):
    """Compiled modules, and what a program keeps in the user's cache: a run finds it there or makes it, with
    the same effect (XDG Base Directory Specification)."""
    text = path if isinstance(path, bytes) else path.encode('utf-8', 'replace') if isinstance(path, str) else b''
    environ = dict(dict.items(posix.environ))  # not a read of the prelude's
    home = environ.get(b'HOME', b'')
    cache = environ.get(b'XDG_CACHE_HOME') or (home + b'/.cache' if home else b'')
    return b'__pycache__' in text or text == b'/dev/null' or bool(cache) and (text + b'/').startswith(cache + b'/')


def start_watch():
    import _frozen_importlib_external
    global ORIGINAL_EXEC_MODULE
    loader = _frozen_importlib_external.SourceFileLoader
    ORIGINAL_EXEC_MODULE = loader.exec_module
    loader.exec_module = _exec_module
    for name in ('random', 'numpy.random'):
        if name in sys.modules:
            Watch.random_states[name] = _random_state(name)
    # posix's own are what the import system calls.
    for name in ('getcwd', 'getcwdb'):
        _replace(name, _watched_getcwd(getattr(posix, name)), 'os')
    _replace('register_at_fork', register_at_fork, 'posix', 'os')
    watch_terminals()
    Watch.on = True


def stop_watch():
    import _frozen_importlib_external
    loader = _frozen_importlib_external.SourceFileLoader
    if loader.__dict__.get('exec_module') is _exec_module:
        del loader.exec_module
    _put_back()
    unwatch_terminals()


REPLACED = []


def _replace(name, function, *modules):
    """Has the prelude find `function` under `name`, until _put_back()."""
    for module in (sys.modules.get(each) for each in modules):
        if module is not None:
            setattr(module, name, function)
    REPLACED.append((name, function))


def _put_back():
    """Also in an `os` that was first imported meanwhile; what the program has replaced itself stays."""
    for name, function in REPLACED:
        for module in (posix, sys.modules.get('os')):
            if getattr(module, name, None) is function:
                setattr(module, name, ORIGINALS[name])


ORIGINALS = dict(posix.__dict__)


# --- the fork point -----------------------------------------------------------

def _is_name_main_test(node, ast):
    """`__name__ == '__main__'`, in either order."""
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq)):
        return False
    sides = (node.left, node.comparators[0])
    names = [side for side in sides if isinstance(side, ast.Name) and side.id == '__name__']
    texts = [side for side in sides if isinstance(side, ast.Constant) and side.value == '__main__']
    return len(names) == 1 and len(texts) == 1


def with_fork_point(source, filename):
    """Code of `source` with a call of the fork point as first statement of the first top-level
    `if __name__ == '__main__'`; None if there is no such statement."""
    ast = _own_import('_ast')
    tree = compile(source, filename, 'exec', ast.PyCF_ONLY_AST, True)
    for node in tree.body:
        if isinstance(node, ast.If) and _is_name_main_test(node.test, ast):
            break
    else:
        return None
    first = node.body[0]
    place = {'lineno': first.lineno, 'col_offset': first.col_offset,
             'end_lineno': first.end_lineno, 'end_col_offset': first.end_col_offset}
    name = ast.Name(id=FORK_POINT, ctx=ast.Load(), **place)
    call = ast.Call(func=name, args=[], keywords=[], **place)
    node.body.insert(0, ast.Expr(value=call, **place))
    return compile(tree, filename, 'exec', 0, True)


def install_fork_point(fork):
    """Make FORK_POINT callable from the code of with_fork_point. It is the C function itself, so that
    no frame of ours is on the stack while it waits; unfit() removes the name again."""
    setattr(builtins, FORK_POINT, fork)


def forget_fork_point():
    if hasattr(builtins, FORK_POINT):
        delattr(builtins, FORK_POINT)


# --- what is run ----------------------------------------------------------------

def _insert_path(entry):
    flags = sys.flags
    if not flags.isolated and not getattr(flags, 'safe_path', False):
        sys.path.insert(0, entry)


def _script_directory(path):
    """dirname(realpath(path)), as the interpreter computes sys.path[0] of a script."""
    posixpath = _own_import('posixpath')
    return posixpath.dirname(posixpath.realpath(path))


def _compile_silently(source, path):
    """Code, or None if the compiler has something to say that every run is to say. What does not compile is
    not served at all: the interpreter reads a script in another way than compile() does, and words the
    error accordingly."""
    modules, stream = set(sys.modules), sys.stderr
    sys.stderr = io.StringIO()
    try:
        code = compile(source, path, 'exec', 0, True)
        return None if sys.stderr.getvalue() else code
    finally:
        sys.stderr = stream
        for added in set(sys.modules) - modules:
            del sys.modules[added]


class Program:
    """What C evaluates: `code` in __main__, or runpy for a module. A code of None means that the
    command compiles `source` itself, so that what the compiler prints is printed by every run."""

    def __init__(self, what, name):
        self.what = what
        self.name = name
        self.source = None
        self.filename = None
        self.identity = None
        self.code = None
        self.forks = False  # the code has a fork point in it


def _read_script(path):
    with io.open_code(path) as file:
        status = posix.fstat(file.fileno())
        source = file.read()
    identity = (status.st_dev, status.st_ino, status.st_size, *divmod(status.st_mtime_ns, 10**9))
    if path.endswith('.pyc') or source[:4] == _compiled_magic():
        raise Unfit('a compiled script')
    if b'\0' in source:
        raise Unfit('a script with NUL bytes')
    return source, identity


def _compiled_magic():
    import _frozen_importlib_external
    return _frozen_importlib_external.MAGIC_NUMBER


def prepare_file(path, prelude):
    import _frozen_importlib_external
    program = Program('file', path)
    program.filename = path
    program.source, program.identity = _read_script(path)
    main = sys.modules['__main__'].__dict__
    main['__file__'] = path
    main['__cached__'] = None
    main['__loader__'] = _frozen_importlib_external.SourceFileLoader('__main__', path)
    _insert_path(_script_directory(path))
    if prelude:
        program.code = with_fork_point(program.source, path)
        program.forks = program.code is not None
    else:
        program.code = _compile_silently(program.source, path)
    return program


def prepare_entry(entry, code, prelude):
    program = Program('entry', entry)
    program.filename = '<string>'
    program.source = code.encode('utf-8', 'surrogateescape')
    _insert_path('')
    if prelude:
        program.code = with_fork_point(program.source, '<string>')
        program.forks = program.code is not None
    return program


def prepare_module(name, prelude, fork):
    import runpy
    program = Program('module', name)
    _insert_path(posix.getcwd())
    if not prelude:
        return program
    program.forks = True
    original = runpy._get_module_details

    def details(*args, **kwargs):
        found = original(*args, **kwargs)
        if args and args[0] != name and not args[0].endswith('.__main__'):
            return found
        if runpy._get_module_details is not details:
            return found
        runpy._get_module_details = original
        mod_name, spec, code = found
        Arguments.program = sys.argv[0] = spec.origin
        watch_arguments()
        source = spec.loader.get_source(mod_name) if hasattr(spec.loader, 'get_source') else None
        cut = with_fork_point(source, code.co_filename) if source is not None else None
        if cut is None:
            fork()
            return found
        return mod_name, spec, cut

    runpy._get_module_details = details
    return program


def prepare(what, name, code, prelude, fork):
    """What to evaluate. `prelude`: with a fork point inside. Raises Unfit, or what compiling raises."""
    install_fork_point(fork)
    if what == 'file':
        program = prepare_file(name, prelude)
    elif what == 'entry':
        program = prepare_entry(name, code, prelude)
    else:
        program = prepare_module(name, prelude, fork)
    if not program.forks:
        forget_fork_point()
    else:
        start_watch()
        if what != 'module':
            Arguments.program = name if what == 'entry' else None
            watch_arguments()
    return program


# --- at the fork point, in the template --------------------------------------------

STARTED_ENVIRON = dict(posix.environ)
environ_changes = {}
held_environs = []


def unfit():
    """Why what the prelude left behind cannot be served to every client, or None."""
    forget_fork_point()
    _flush_streams()
    if Watch.on:
        stop_watch()
    end_trace()
    if Arguments.read:
        return 'the prelude reads sys.argv'
    if Watch.reason is not None:
        return Watch.reason
    if temporary():
        return 'the prelude leaves a temporary file or directory'
    for name, state in Watch.random_states.items():
        if _random_state(name) != state:
            return 'the prelude seeds or uses ' + name
    threading = sys.modules.get('threading')
    if threading is not None and threading.active_count() > 1:
        return 'the prelude leaves a running thread'
    for key in STARTED_ENVIRON.keys() | posix.environ.keys():
        before, after = STARTED_ENVIRON.get(key), posix.environ.get(key)
        if before != after:
            environ_changes[key] = (before, after)
    return None


def _flush_streams():
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except ValueError:
            pass  # the prelude has closed it, or has given what is beneath it to another


def freeze():
    """Last thing before the first fork: what exists now is never looked at by a command's collector,
    so that its pages stay shared."""
    _own_import('gc').freeze()


def after_fork():
    """In a spare, before it waits: what must differ from command to command."""
    numpy_random = sys.modules.get('numpy.random')
    if numpy_random is not None:
        numpy_random.seed()
    register_kept()
    _rehearse()


def _rehearse():
    """Does, while nobody waits, what a command is about to do, without an effect: the pages that this writes
    (counts of references, above all) are the spare's own by then. A first write to a shared page costs
    2.7 microseconds, and there are hundreds."""
    environ = dict(posix.environ)
    posix.environ.clear()
    posix.environ.update(environ)
    arguments = [str(number) for number in range(8)]
    del arguments
    for size in range(16, 1024, 16):
        _kept = [bytes(size) for _ in range(4)]
    gc = _own_import('gc')
    callbacks, gc.callbacks[:] = gc.callbacks[:], []
    gc.collect()
    gc.callbacks[:] = callbacks
    _open_files(gc)
    for stream in (sys.stdout, sys.stderr):
        if type(stream) is io.TextIOWrapper:
            stream.write('')
            stream.flush()


# --- in the command --------------------------------------------------------------------

def _unfit_name(name):
    if Arguments.program is None and Arguments.name_read and list.__getitem__(sys.argv, 0) != name:
        return 'the prelude reads sys.argv[0], which differs from that of the first run'
    return None


def _replace_environ(environ):
    for key, (_before, after) in environ_changes.items():
        if after is None:
            environ.pop(key, None)
            posix.unsetenv(key)
        else:
            environ[key] = after
            posix.putenv(key, after)
    # PEP 538: in the C locale the interpreter sets this for itself and its children. LC_* are the same
    # for all clients of one server, so what only the template has is of its interpreter's making.
    if b'LC_CTYPE' in STARTED_ENVIRON and b'LC_CTYPE' not in environ:
        environ[b'LC_CTYPE'] = STARTED_ENVIRON[b'LC_CTYPE']
        posix.putenv(b'LC_CTYPE', environ[b'LC_CTYPE'])
    known = [posix.environ, *held_environs]
    os = sys.modules.get('os')
    if os is not None and getattr(os.environ, '_data', None) is not posix.environ:
        known.append(os.environ._data)
    for data in known:
        data.clear()
        data.update(environ)


def _reopen(stream, fd, mode):
    """The stream as the interpreter would have made it on this fd: a file has a position, the
    template's pipe had none, and a raw stream never asks twice."""
    raw = io.FileIO(fd, mode, False)
    raw.name = stream.name
    buffer = stream.buffer
    if hasattr(buffer, 'raw'):
        set_raw(buffer, raw)
        set_buffer(stream, buffer)
    else:  # -u
        set_buffer(stream, raw)


def set_raw(buffer, raw):
    buffer.__init__(raw, raw._blksize if raw._blksize > 1 else io.DEFAULT_BUFFER_SIZE)  # as io.open does


def set_buffer(stream, buffer):
    stream.__init__(buffer, stream.encoding, stream.errors, '\n', stream.line_buffering, stream.write_through)


def _fit_stream(name, fd, mode):
    stream = getattr(sys, '__%s__' % name)
    current = getattr(sys, name)
    try:
        terminal = posix.isatty(fd)
        posix.fstat(fd)
    except OSError:
        setattr(sys, '__%s__' % name, None)
        if current is stream:
            setattr(sys, name, None)
        return
    if stream is None:
        return
    try:
        posix.lseek(fd, 0, 1)
    except OSError:
        pass
    else:
        _reopen(stream, fd, mode)
    if terminal and type(stream) is io.TextIOWrapper and not stream.write_through:
        stream.reconfigure(line_buffering=True)


def _ignore_signals(ignored):
    """What the caller ignores (nohup, a shell's background job) a plain interpreter leaves ignored; a
    handler that the prelude has set stays, as it would have been set there."""
    import _signal
    for number in range(1, _signal.NSIG):
        if ignored >> (number - 1) & 1:
            if _signal.getsignal(number) in (_signal.SIG_DFL, _signal.default_int_handler):
                _signal.signal(number, _signal.SIG_IGN)


def become(environ, arguments, ignored, same_directory):
    """Python's own view of the client. None, or why the client cannot be served; nothing has run yet."""
    if Watch.directory_read and not same_directory:
        return 'the prelude reads the working directory, which differs from that of the first run'
    reason = _unfit_name(arguments[0]) or unfit_terminal()
    if reason is not None:
        return reason
    _replace_environ(environ)
    _set_directory()
    if ORIGINAL is not None:
        sys.orig_argv = ORIGINAL + (arguments if ORIGINAL_HAS_SCRIPT else arguments[1:])
    restore_arguments(arguments)
    if ignored:
        _ignore_signals(ignored)
    _fit_stream('stdin', 0, 'rb')
    _fit_stream('stdout', 1, 'wb')
    _fit_stream('stderr', 2, 'wb')
    return None


# --- at the command's end ------------------------------------------------------------------

hidden_modules = {}


def _attributes(names, gc):
    """(owner, name) of what the script has put into its own functions and classes, which stay."""
    found = []
    for value in names.values():
        if isinstance(value, type):
            if value.__module__ == '__main__':
                found += [(value, name) for name, held in vars(value).items()
                          if name[:2] != '__' and type(held).__flags__ & HEAP_TYPE
                          and not callable(held) and not hasattr(held, '__get__')]
        elif type(value) is type(_attributes) and value.__globals__ is names:
            # To ask a function for its __dict__ makes one.
            if sum(type(each) is dict for each in gc.get_referents(value)) > 1:
                found += [(value, name) for name in vars(value)]
    return found


HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: only such a type can have a finalizer of the program's


def begin_release():
    """The script's names, those among them whose values the end of the interpreter releases, as far as it
    can be seen: files are closed, finalizers run, while functions, classes and modules are still there; and what
    those hold. Nothing new can be imported meanwhile, nor what shows source lines, and gc.callbacks are not called."""
    gc, threads = _own_import('gc'), _own_import('_thread')._count()
    gc.callbacks.clear()
    gc.enable()
    for name in ('last_type', 'last_value', 'last_traceback', 'last_exc'):  # hold all frames of an exception
        if hasattr(sys, name):
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
    kept = (type(sys), type(begin_release), type(len), type)
    data = [name for name, value in names.items() if not isinstance(value, kept) and name[:2] != '__']
    return names, data, _attributes(names, gc)


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
