

# --- what else a prelude may look at or touch -------------------------------------

class Watch:
    """What the prelude has been seen to do that depends on its client, or that every run would do."""

    directory_read = False
    temporary_made = False
    reason = None
    random_states = {}
    draws = False  # what is drawn counts
    seeds = 0   # of generators of its own
    hooks = ()  # that quicken.after_fork was given
    called = False  # the prelude ends where the program says so, which may be nowhere: it may be all of the program


def _random_state(name):
    module = loaded(name)
    if module is None:
        return None
    if name == 'random':
        return module.getstate()
    kind, key, *rest = module.get_state()
    return kind, key.tobytes(), rest


def begin_draws():
    """What the interpreter's own start has drawn is no matter of the prelude's."""
    Watch.hooks = getattr(getattr(builtins, FORK_POINT, None), '__self__', ())
    take_draws()
    Watch.draws = True


def note_draws():
    """Down to the module that is being imported."""
    bytes_drawn, seeds = divmod(take_draws(), 1 << 16)
    if not Watch.draws or is_renewed(Imports.stack[-1][0] if Imports.stack else None):
        return
    if bytes_drawn:
        Watch.reason = Watch.reason or 'the prelude draws random numbers'
    Watch.seeds += seeds


def _seeds_of(kind):
    """How many making one takes."""
    take_draws()
    kind()
    return take_draws() % (1 << 16)


def unfit_generators():
    """A generator that the prelude has seeded, whether it still has it or a number from it, as the reason for which
    it is unfit, or None. One that has given quicken.after_fork something sees to that itself."""
    random, tempfile = loaded('random'), loaded('tempfile')
    if not Watch.seeds or Watch.hooks:
        return None
    if hasattr(random, 'SystemRandom') and hasattr(random, 'Random'):
        names = getattr(tempfile, '_RandomNameSequence', ())
        objects = _own_import('gc').get_objects()
        # The kernel's has none; that of names for files is made anew by a process that finds itself forked.
        kernels = [each for each in objects if issubclass(type(each), random.SystemRandom)]
        of_names = [each for each in objects if issubclass(type(each), names) and hasattr(each, '_rng')]
        Watch.seeds -= len(kernels) * _seeds_of(random.SystemRandom) + len(of_names) * _seeds_of(random.Random)
    return 'the prelude makes a generator of random numbers' if Watch.seeds > 0 else None


# Modules that keep the directory they were imported in, and the name that they keep it under: put right in
# every command, as their import would have.
DIRECTORY_KEEPERS = {'multiprocessing.process': 'ORIGINAL_DIR'}


def before_getcwd(_module):
    caller = sys._getframe(1)
    if caller.f_globals.get('__name__') == 'posixpath':
        caller = caller.f_back or caller
    # What the import system looks for in the directory is traced.
    imports = caller.f_code.co_filename.startswith('<frozen importlib')
    if not imports and caller.f_globals.get('__name__') not in DIRECTORY_KEEPERS:
        Watch.directory_read = True


def _set_directory():
    for name, attribute in DIRECTORY_KEEPERS.items():
        module = loaded(name)
        if module is not None:
            try:
                setattr(module, attribute, posix.getcwd())
            except OSError:
                setattr(module, attribute, None)


def note_event(event, arguments):
    """Audit events of the prelude (PEP 578), from C. What is only read is traced elsewhere; what is made or
    changed would have been made or changed by every run."""
    note_output_event(event)
    if Watch.on:
        known, Watch.reason = Watch.reason, None
        watch_event(event, arguments)
        if Watch.called:
            stop_before_deed(event, arguments)
        Watch.reason = Watch.reason or known
    if Trace.on:
        trace_event(event, arguments)


def stop_before_deed(event, arguments):
    """Where the prelude may be all of the program: what the event tells of has not been done yet, and the run of the
    next rung does it."""
    if Watch.reason is not None:
        stop(Watch.reason)
    if event in DEEDS and not DEEDS[event](arguments):
        stop('the prelude calls ' + event)


# What else a program does for others to see; of a prelude up to `if __name__` some of it is found afterwards.
DEEDS = {
    'os.chmod': lambda arguments: is_own(arguments[0]),
    'os.utime': lambda arguments: is_own(arguments[0]),
    'os.chown': lambda arguments: False,
    'os.setxattr': lambda arguments: False,
    'os.removexattr': lambda arguments: False,
    'socket.sendto': lambda arguments: False,
    'socket.sendmsg': lambda arguments: False,
    'sqlite3.connect': lambda arguments: arguments[0] in ('', ':memory:'),
    'syslog.syslog': lambda arguments: False,
}

# Whether what a call changes is known to be safe, of its arguments.
CHANGES = {
    'os.mkdir': lambda arguments: is_reproducible(arguments[0]),
    'os.remove': lambda arguments: is_reproducible(arguments[0]),
    'os.rmdir': lambda arguments: is_reproducible(arguments[0]),
    'os.rename': lambda arguments: is_reproducible(arguments[0]) and is_reproducible_write(arguments[1], 0),
    'os.truncate': lambda arguments: is_own(arguments[0]),
    'os.symlink': lambda arguments: is_reproducible(arguments[1]),
    'os.link': lambda arguments: is_reproducible(arguments[1]),
}


def is_own(path):
    """What the prelude has made itself, and may go on with."""
    return is_reproducible(path) and _absolute(path) in Trace.written


def note_deed(kind, text):
    """What C has seen anybody do (files.hpp)."""
    if not Watch.on:
        return
    if kind == ATTRIBUTES:
        function, _nul, path = text.partition(b'\0')
        if not is_own(path):
            Watch.reason = Watch.reason or 'the prelude changes files: ' + function.decode()
    elif kind == OF_PROCESS:
        if is_of_process(text):
            Watch.reason = Watch.reason or 'the prelude reads ' + text.decode('utf-8', 'replace')
    else:
        Watch.reason = Watch.reason or 'the prelude opens files that cannot be told'


def watch_event(event, arguments):
    if event == 'open':
        path, _mode, flags = arguments
        if isinstance(path, int):
            if path in (0, 1, 2):  # where it leads, and what that can do, is kept in the file object
                Watch.reason = 'the prelude opens fd %d' % path
            return  # another was opened by name before, which was noted then
        writes = isinstance(flags, int) and flags & (posix.O_WRONLY | posix.O_RDWR)
        if writes and not _is_opened_within(path, flags) and not is_reproducible_write(path, flags):
            Watch.reason = 'the prelude writes ' + repr(path)
        elif path == (b'/dev/tty' if isinstance(path, bytes) else '/dev/tty'):  # not both: BytesWarning (-bb)
            Watch.reason = 'the prelude opens /dev/tty'
    elif event[:9] == 'tempfile.':
        Watch.temporary_made = True
    elif event == 'fcntl.ioctl':
        note_terminal(arguments[0])
    elif event in ('os.listdir', 'os.scandir'):
        path = arguments[0] if arguments else None
        place = _path_of(path)
        if place[:1] != b'/':
            Watch.directory_read = True
        elif is_of_process(place + b'/'):
            Watch.reason = 'the prelude reads ' + repr(path)
    elif event in CHANGES:
        if not CHANGES[event](arguments):
            Watch.reason = 'the prelude changes files: ' + event
    elif event in ('subprocess.Popen', 'os.posix_spawn'):
        words = _words(arguments[1])
        if not is_safe_child(words):
            Watch.reason = 'the prelude runs ' + (words[0] if words else 'a program')
    elif event == 'socket.bind' and is_bound_for_a_look(arguments[1]):
        pass
    elif event in ('os.fork', 'os.forkpty', 'os.system', 'os.exec', 'os.kill', 'os.killpg', 'socket.connect',
                   'socket.bind', 'sys.addaudithook'):
        Watch.reason = 'the prelude calls ' + event


def _is_opened_within(path, flags):
    """Whether it names a directory: that is not written, but tempfile (3.11) gives it to open() with an opener, of
    which another event tells what it opens."""
    try:
        mode = ORIGINALS['stat'](path).st_mode
    except (OSError, ValueError):
        return False
    return mode & 0o170000 == 0o040000 and flags & O_TMPFILE != O_TMPFILE


O_TMPFILE = getattr(posix, 'O_TMPFILE', 0o20200000)


def _words(arguments):
    """The command line of a child as texts."""
    if isinstance(arguments, (str, bytes)) or hasattr(arguments, '__fspath__'):
        arguments = [arguments]
    try:
        return [_bytes_of(posix.fspath(each)).decode('utf-8', 'replace') for each in arguments]
    except (TypeError, UnicodeError):
        return []


def note_untraced(event):
    """What an event tells of could not be noted."""
    Watch.reason = Watch.reason or 'what the prelude does cannot be traced: ' + event


# What they do depends on whose child the process is; no audit event tells of them.
CALLS_OF_THE_PROCESS = ('setpgid', 'setpgrp', 'setsid')


def _before_call(name):
    def before(_module, *_args):
        Watch.reason = 'the prelude calls os.' + name
    return before


def _has_relative_path():
    """Such an entry the interpreter itself makes absolute, or `site`, or nobody."""
    path = b'' if sys.flags.ignore_environment else STARTED_ENVIRON.get(b'PYTHONPATH', b'')
    return bool(path) and any(entry[:1] != b'/' for entry in path.split(b':'))


def watch_functions():
    Watch.directory_read = _has_relative_path()
    for name in ('getcwd', 'getcwdb'):
        watch_call(ORIGINALS[name], before_getcwd)
    watch_call(ORIGINALS['register_at_fork'], before_register)
    for name in CALLS_OF_THE_PROCESS:
        watch_call(ORIGINALS[name], _before_call(name))
    watch_call(ORIGINALS['dup2'], before_dup2)
    watch_call(sys.stdout.reconfigure, before_reconfigure)
    watch_terminals()
    watch_descriptors()
    watch_client_questions()
    watch_loaders()
    Watch.on = True


def stop_watch():
    end_imports()
    failed = unwatch_calls()
    if failed is not None:
        Watch.reason = Watch.reason or 'the prelude calls %s in a way that cannot be followed' % failed


ORIGINALS = dict(posix.__dict__)
