

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
    os = loaded('os')
    if os is not None and getattr(os.environ, '_data', None) is not posix.environ:
        known.append(os.environ._data)
    for data in known:
        data.clear()
        data.update(environ)


def expect_environ(environ):
    """In a spare, the environment that its client is expected to have. False if more than Python's view would have to be
    changed for that."""
    if environ_changes or Left.native or b'LC_CTYPE' in STARTED_ENVIRON and b'LC_CTYPE' not in environ:
        return False
    _replace_environ(environ)
    return True


def _ignore_signals(ignored):
    """What the caller ignores (nohup, a shell's background job) a plain interpreter leaves ignored; a
    handler that the prelude has set stays, as it would have been set there."""
    import _signal
    for number in range(1, _signal.NSIG):
        if ignored >> (number - 1) & 1 and number not in Left.handled:
            if _signal.getsignal(number) in (_signal.SIG_DFL, _signal.default_int_handler):
                _signal.signal(number, _signal.SIG_IGN)


questions, adjustments = [], []


def prepare_become():
    """What become() has to do is known at the fork point: of what this program does not need it does not ask."""
    if terminals_asked or sizes_asked:
        questions.append(lambda ignored: unfit_terminal())
    if answers or asked_signals:
        questions.append(unfit_answers)
    if sys.modules.keys() & DIRECTORY_KEEPERS.keys():
        adjustments.append(_set_directory)
    if 'logging' in sys.modules:
        adjustments.append(set_clocks)
    if Learning.known is not None:
        adjustments.append(learn_client)


def become(environ, arguments, ignored, streams):
    """Python's own view of the client. None, or why the client cannot be served; nothing has run yet. `environ`: None if
    it is as expected; `streams`: see fit_streams."""
    for question in questions:
        reason = question(ignored)
        if reason is not None:
            return reason
    if environ is not None:
        _replace_environ(environ)
    restore_arguments(arguments)
    if ignored:
        _ignore_signals(ignored)
    if streams:
        fit_streams(streams)
    for adjustment in adjustments:
        adjustment()
    return None
