

# --- what a prelude leaves in its interpreter ---------------------------------------------
#
# Most of it a fork keeps, and a command has it as a plain run does: handlers, hooks, filters, locale, contexts.
# Here is what it does not keep, or what would see quicken at work.

class Left:
    streams = {}   # fd: what it was before the prelude
    handlers = {}  # signal: what the interpreter made of it at its start
    handled = ()   # signals of which the prelude has made something else: that stays, whatever the client ignores
    duplicated = None
    native = {}    # variables that are set in C alone
    authkey = None
    pid = 0


def _streams():
    found = {}
    for fd in (0, 1, 2):
        try:
            status = posix.fstat(fd)
            found[fd] = status.st_dev, status.st_ino
        except OSError:
            found[fd] = None
    return found


def _handlers():
    import _signal
    return {number: _signal.getsignal(number) for number in range(1, _signal.NSIG)}


def _note_interpreter_state():
    Left.streams = _streams()
    Left.handlers = _handlers()
    Left.pid = posix.getpid()


def before_dup2(_module, *args, **options):
    target = args[1] if len(args) > 1 else options.get('fd2')
    if target in (0, 1, 2):
        Left.duplicated = target


def _unfit_streams():
    for fd, before in _streams().items():
        # One terminal under two numbers looks like itself.
        if before != Left.streams[fd] or fd == Left.duplicated and was_terminal(fd):
            return 'the prelude replaces ' + STREAM_NAMES[fd]
    return None


def _is_monitored():
    monitoring = getattr(sys, 'monitoring', None)  # 3.12
    return monitoring is not None and any(monitoring.get_tool(number) is not None for number in range(6))


def _unfit_environment(native):
    """`native`: environ(7), each with a NUL. A command's is made anew, from what Python knows of it."""
    found = {}
    for entry in native.split(b'\0'):
        name, equals, value = entry.partition(b'=')
        if name and equals:
            found.setdefault(name, value)
    known = {name: value for name, value in posix.environ.items() if name}
    for name in found.keys() | known.keys():
        if name not in known and is_set_again(name):
            Left.native[name] = found[name]
        elif found.get(name) != known.get(name):
            return 'the prelude changes the environment other than by os.environ: ' + name.decode('utf-8', 'replace')
    return None


def unfit_interpreter(native):
    """Why what the prelude left in the interpreter cannot be served, or None."""
    if sys.gettrace() is not None or sys.getprofile() is not None or _is_monitored():
        return 'the prelude leaves a trace or profile function'
    tracemalloc = loaded('_tracemalloc')
    if tracemalloc is not None and tracemalloc.is_tracing():
        return 'the prelude leaves tracemalloc running'
    if _own_import('gc').get_debug() != 0:
        return 'the prelude leaves gc in debug mode'
    Left.handled = {number for number, handler in _handlers().items() if Left.handlers[number] is not handler}
    return _unfit_streams() or _unfit_environment(native)


# --- what the standard library keeps of its process: put right in every command

def renew_main_thread():
    """threading's own hook for forks leaves it its number in the kernel."""
    threading = loaded('threading')
    if threading is not None and hasattr(threading, 'get_native_id'):
        threading.main_thread()._native_id = threading.get_native_id()


def note_authkey():
    process = loaded('multiprocessing.process')
    Left.authkey = getattr(process, '_current_process')._config.get('authkey')


def renew_multiprocessing():
    """The secret that an import draws, unless the prelude has set one; finalizers are those of the process that
    registered them."""
    process = loaded('multiprocessing.process')
    if process is not None and Left.authkey is not None:
        config = process._current_process._config
        if config.get('authkey') is Left.authkey:
            config['authkey'] = process.AuthenticationString(posix.urandom(32))
    util = loaded('multiprocessing.util')
    for finalizer in list(util._finalizer_registry.values()) if util is not None else ():
        if finalizer._pid == Left.pid:
            finalizer._pid = posix.getpid()


_note_interpreter_state()
