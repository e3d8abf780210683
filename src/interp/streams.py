

# --- the standard streams ---------------------------------------------------------

def _reopen(stream, fd, mode):
    """The stream as the interpreter would have made it on this fd: a file has a position, the
    template's pipe had none, and a raw stream never asks twice."""
    given, buffer, old, watched = Output.streams[fd]
    if old.closed:
        return
    raw = io.FileIO(fd, mode, False)
    raw.name = old.name
    Output.streams[fd] = given, raw if buffer is old else buffer, raw, watched
    try:
        if buffer is not old:
            if buffer.raw is old:
                set_raw(buffer, raw)
                refill(buffer)
            if stream.buffer is buffer:
                set_buffer(stream, buffer)
                refill(stream)
        elif stream.buffer is old:  # -u
            set_buffer(stream, raw)
    except ValueError:
        pass  # detached: what the prelude has made of it has no position


def set_raw(buffer, raw):
    buffer.__init__(raw, raw._blksize if raw._blksize > 1 else io.DEFAULT_BUFFER_SIZE)  # as io.open does


def set_buffer(stream, buffer):
    newline = chosen.get(id(stream), {}).get('newline', '\n')
    stream.__init__(buffer, stream.encoding, stream.errors, newline, stream.line_buffering, stream.write_through)


chosen = {}  # id of a standard stream: what the prelude has made of it by reconfigure()


def before_reconfigure(stream, *_args, **options):
    told = {name: value for name, value in options.items()
            if name == 'newline' or name == 'line_buffering' and value is not None}
    if not told or not any(stream is each for each, *_ in Output.streams):
        return None
    return lambda failed: failed or chosen.setdefault(id(stream), {}).update(told)


def fit_streams(unlike):
    """`unlike`: bit N if the standard stream of fd N has to be fitted to what that leads to now, bit 3 + N if it has
    been before, to something else."""
    for name, fd, mode in STREAMS:
        if unlike >> fd & 1:
            _fit_stream(name, fd, mode, unlike >> fd & 8)


def _fit_stream(name, fd, mode, again):
    stream = getattr(sys, '__%s__' % name)
    current = getattr(sys, name)
    try:
        terminal = posix.isatty(fd)
        status = posix.fstat(fd)
    except OSError:
        setattr(sys, '__%s__' % name, None)
        if current is stream:
            setattr(sys, name, None)
        return
    if stream is None:
        return
    if again or status.st_blksize != BLOCK_SIZES[fd] or _has_position(fd):
        _reopen(stream, fd, mode)
    if type(stream) is not io.TextIOWrapper or UNBUFFERED or (terminal == was_terminal(fd) and not again):
        return
    if 'line_buffering' in chosen.get(id(stream), {}):
        return
    if terminal:
        stream.reconfigure(line_buffering=True)
    elif fd != 2 or sys.version_info < (3, 9):
        stream.reconfigure(line_buffering=False)


STREAMS = (('stdin', 0, 'rb'), ('stdout', 1, 'wb'), ('stderr', 2, 'wb'))
BLOCK_SIZES = [posix.fstat(fd).st_blksize for fd in (0, 1, 2)]


def _has_position(fd):
    try:
        posix.lseek(fd, 0, 1)
    except OSError:
        return False
    return True
