

# --- what else a prelude may look at or touch -------------------------------------

class Watch:
    """What the prelude has been seen to do that depends on its client, or that every run would do."""

    directory_read = False
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
    note_output_event(event)
    if event == 'open':
        path, _mode, flags = arguments
        if isinstance(path, int):
            if path in (0, 1, 2):  # where it leads, and what that can do, is kept in the file object
                Watch.reason = 'the prelude opens fd %d' % path
            return  # another was opened by name before, which was noted then
        if isinstance(flags, int) and flags & (posix.O_WRONLY | posix.O_RDWR) and not is_reproducible(path):
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
        if not is_reproducible(arguments[0]):
            Watch.reason = 'the prelude changes files: ' + event
    elif event == 'socket.bind' and is_bound_for_a_look(arguments[1]):
        pass
    elif event in ('os.fork', 'os.forkpty', 'os.system', 'os.kill', 'socket.connect', 'socket.bind',
                   'sys.addaudithook'):
        Watch.reason = 'the prelude calls ' + event


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
    watch_loaders()


def stop_watch():
    end_imports()
    failed = unwatch_calls()
    if failed is not None:
        Watch.reason = Watch.reason or 'the prelude calls %s in a way that cannot be followed' % failed


ORIGINALS = dict(posix.__dict__)
