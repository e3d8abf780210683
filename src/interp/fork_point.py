

# --- at the fork point, in the template --------------------------------------------

environ_changes = {}
held_environs = []


def unfit(native, readers):
    """Why what the prelude left behind cannot be served to every client, or None. `native`: environ(7); `readers`
    of clocks, see unfit_clock."""
    note_fork_point()
    forget_fork_point()
    end_output()
    stop_watch()
    unwatch_arguments()
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
    threading = loaded('threading')
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
    so that its pages stay shared. Nothing is left to collect then, but what the interpreter keeps of released
    tuples and such for the next ones is given back: by a command that would be a write to 500 pages."""
    prepare_become()
    _own_import('_thread')  # begin_release asks it
    gc = _own_import('gc')
    gc.freeze()
    callbacks, gc.callbacks[:] = gc.callbacks[:], []
    gc.collect()
    gc.callbacks[:] = callbacks


def after_fork():
    """In a spare, before it waits: what must differ from command to command."""
    numpy_random = loaded('numpy.random')
    if numpy_random is not None:
        numpy_random.seed()
    renew_main_thread()
    renew_multiprocessing()
    register_kept()
