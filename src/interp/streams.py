

# --- the standard streams ---------------------------------------------------------

def _flush_streams():
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except ValueError:
            pass  # the prelude has closed it, or has given what is beneath it to another


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
