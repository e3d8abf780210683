

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
    note_output_event(event)
    if not Watch.on:
        return
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


def _watched_call(function):
    def call(*args):
        Watch.reason = 'the prelude calls os.' + function.__name__
        return function(*args)
    return call


def start_watch():
    for name in ('random', 'numpy.random'):
        if name in sys.modules:
            Watch.random_states[name] = _random_state(name)
    # posix's own are what the import system calls.
    for name in ('getcwd', 'getcwdb'):
        _replace(name, _watched_getcwd(getattr(posix, name)), 'os')
    _replace('register_at_fork', register_at_fork, 'posix', 'os')
    for name in CALLS_OF_THE_PROCESS:
        _replace(name, _watched_call(ORIGINALS[name]), 'posix', 'os')
    _replace('dup2', watched_dup2(posix.dup2), 'posix', 'os')
    watch_terminals()
    watch_descriptors()
    begin_imports()
    Watch.on = True


def stop_watch():
    end_imports()
    _put_back()


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
