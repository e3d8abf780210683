

# --- at the fork point, in the template --------------------------------------------

STARTED_ENVIRON = dict(posix.environ)
environ_changes = {}
held_environs = []


def unfit(native, readers):
    """Why what the prelude left behind cannot be served to every client, or None. `native`: environ(7); `readers`
    of clocks, see unfit_clock."""
    note_fork_point()
    forget_fork_point()
    end_output()
    if Watch.on:
        stop_watch()
    end_trace()
    end_questions()
    if cause := cause_of_end():
        return cause
    if temporary():
        return 'the prelude leaves a temporary file or directory'
    for name, state in Watch.random_states.items():
        if _random_state(name) != state:
            return 'the prelude seeds or uses ' + name
    if reason := unfit_generators():
        return reason
    threading = sys.modules.get('threading')
    if threading is not None and threading.active_count() > 1:
        return 'the prelude leaves a running thread'
    for key in STARTED_ENVIRON.keys() | posix.environ.keys():
        before, after = STARTED_ENVIRON.get(key), posix.environ.get(key)
        if before != after:
            environ_changes[key] = (before, after)
    return unfit_interpreter(native) or unfit_clock(readers)


def cause_of_end():
    """What may have made the prelude end, or raise, in the template alone; None where nothing was noted."""
    return 'the prelude reads sys.argv' if Arguments.read else Watch.reason


def freeze():
    """Last thing before the first fork: what exists now is never looked at by a command's collector,
    so that its pages stay shared."""
    _own_import('gc').freeze()


def after_fork():
    """In a spare, before it waits: what must differ from command to command."""
    numpy_random = sys.modules.get('numpy.random')
    if numpy_random is not None:
        numpy_random.seed()
    renew_main_thread()
    renew_multiprocessing()
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
        if type(stream) is io.TextIOWrapper and not Output.pending:
            stream.write('')
            stream.flush()
