

# --- in the command --------------------------------------------------------------------

def _replace_environ(environ):
    for key, (_before, after) in environ_changes.items():
        if after is None:
            environ.pop(key, None)
            posix.unsetenv(key)
        else:
            environ[key] = after
            posix.putenv(key, after)
    for key, value in Left.native.items():
        posix.putenv(key, value)
    # PEP 538: in the C locale the interpreter sets this for itself and its children. LC_* are the same
    # for all clients of one server, so what the template has otherwise is of its interpreter's making.
    coerced = STARTED_ENVIRON.get(b'LC_CTYPE') != environ.get(b'LC_CTYPE') and b'LC_CTYPE' in STARTED_ENVIRON
    if coerced and b'LC_CTYPE' not in environ_changes:
        environ[b'LC_CTYPE'] = STARTED_ENVIRON[b'LC_CTYPE']
        posix.putenv(b'LC_CTYPE', environ[b'LC_CTYPE'])
    known = [posix.environ, *held_environs]
    os = sys.modules.get('os')
    if os is not None and getattr(os.environ, '_data', None) is not posix.environ:
        known.append(os.environ._data)
    for data in known:
        data.clear()
        data.update(environ)


def _ignore_signals(ignored):
    """What the caller ignores (nohup, a shell's background job) a plain interpreter leaves ignored; a
    handler that the prelude has set stays, as it would have been set there."""
    import _signal
    for number in range(1, _signal.NSIG):
        if ignored >> (number - 1) & 1 and number not in Left.handled:
            if _signal.getsignal(number) in (_signal.SIG_DFL, _signal.default_int_handler):
                _signal.signal(number, _signal.SIG_IGN)


def become(environ, arguments, ignored, streams):
    """Python's own view of the client. None, or why the client cannot be served; nothing has run yet. `streams`: bit N
    if the standard stream of fd N has to be fitted to it."""
    reason = unfit_terminal() or unfit_answers(ignored)
    if reason is not None:
        return reason
    _replace_environ(environ)
    _set_directory()
    set_clocks()
    restore_arguments(arguments)
    if ignored:
        _ignore_signals(ignored)
    for name, fd, mode in STREAMS:
        if streams >> fd & 1:
            _fit_stream(name, fd, mode)
    learn_client()
    return None
