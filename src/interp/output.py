

# --- what a prelude prints --------------------------------------------------------
#
# Its fds 1 and 2 lead to us (output.cpp). Beneath sys.stdout and sys.stderr are raw streams of ours, which keep what
# comes through them in a log; what C code has written meanwhile was written before, and is taken from the pipes
# first. What is in the buffers of streams at the fork point stays there, as it would in a plain run. Only a
# stream that a command has to make anew for its fd gets it once more.

PRINTED_LIMIT = 16 << 20  # bytes of the log


class Output:
    on = False
    log = []        # (fd, the pieces of what was written to it without anything to another), in order
    size = 0        # bytes
    reason = None   # why it cannot be replayed
    held = None     # a list: what is written is put there, not in the log
    child = False   # the prelude has started one
    pending = {}    # fd: bytes that are in buffers for it
    buffered = {}   # id of a stream or of its buffer: what is in it
    streams = []    # (buffer, the interpreter's raw stream, ours), of stdin, stdout and stderr
    names = ('standard input', 'standard output', 'standard error')


def _place(fd):
    status = ORIGINALS['fstat'](fd)
    return status.st_dev, status.st_ino


PLACES = {fd: _place(fd) for fd in (1, 2, 0)}


def _captured(fd):
    """Whose output is what is written to an fd: 1, 2, or None if that is no matter of ours."""
    try:
        place = _place(fd)
    except (OSError, OverflowError):
        return None
    if PLACES.get(fd) == place:
        return fd
    for each in PLACES:
        if PLACES[each] == place:
            return each
    return None


def _keep(fd, data):
    if Output.log and Output.log[-1][0] == fd:
        Output.log[-1][1].append(data)
    else:
        Output.log.append((fd, [data]))
    Output.size += len(data)
    if Output.size > PRINTED_LIMIT:
        Output.reason = Output.reason or 'the prelude prints more than %d bytes' % PRINTED_LIMIT
        Output.log.clear()
        Output.size = 0


def _read_all(source):
    parts = []
    while True:
        try:
            part = ORIGINALS['read'](source, 1 << 20)
        except OSError:  # nothing more
            return b''.join(parts)
        if not part:
            return b''.join(parts)
        parts.append(part)


def drain():
    """What C code and child processes have written since the last time."""
    found = []
    for fd, source in NATIVE_SOURCES:
        data = _read_all(source)
        if data:
            found.append(fd)
            note_terminal(fd)  # C's streams decide by it when to write
            _keep(fd, data)
        if len(data) >= NATIVE_LIMITS[fd]:
            Output.reason = Output.reason or 'the prelude prints too much at once from C'
    if found and Output.child:
        Output.reason = Output.reason or 'a child process of the prelude prints'
    if len(found) > 1:
        Output.reason = Output.reason or 'the prelude prints to standard output and standard error from C'


NATIVE_SOURCES = []
for _fd in (1, 2, 0):  # of a terminal the first: it is the same whichever it is written to
    if SOURCES[_fd] >= 0 and SOURCES[_fd] not in [each[1] for each in NATIVE_SOURCES]:
        NATIVE_SOURCES.append((_fd, SOURCES[_fd]))


class FileIO(io.FileIO):
    """A raw stream beneath one of the standard streams while the prelude runs, and afterwards if it is held."""

    __module__ = '_io'

    def isatty(self):
        if not self.closed:
            note_terminal(self.fileno())
        return io.FileIO.isatty(self)

    def write(self, data):
        fd = _captured(self.fileno()) if Output.on and not self.closed else None
        if fd is None:
            return io.FileIO.write(self, data)
        try:
            data = memoryview(data).tobytes()
        except TypeError:
            return io.FileIO.write(self, data)
        if Output.held is not None:
            Output.held.append((fd, data))
            return len(data)
        drain()
        _note_buffered(fd)
        _keep(fd, data)
        return len(data)

    def read(self, *args):
        _note_input(self)
        return io.FileIO.read(self, *args)

    def readall(self):
        _note_input(self)
        return io.FileIO.readall(self)

    def readinto(self, *args):
        _note_input(self)
        return io.FileIO.readinto(self, *args)


FileIO.__name__ = '_io.FileIO'  # what repr() of one shows from 3.13 on


def _note_buffered(fd):
    """On a terminal Python's stdout is written line by line, and so was stderr alone up to 3.8."""
    if not UNBUFFERED and (fd != 2 or sys.version_info < (3, 9)):
        note_terminal(fd)


def _note_input(raw):
    if Output.on and not raw.closed and _captured(raw.fileno()) is not None:
        Watch.reason = Watch.reason or 'the prelude reads standard input'


def before_write(_module, *args):
    fd = _captured(args[0]) if len(args) == 2 and isinstance(args[0], int) else None
    if fd is None:
        return None
    drain()
    if isinstance(args[1], (bytes, bytearray)):
        _keep(fd, bytes(args[1]))
        return (len(args[1]),)
    return _keep_written


def _keep_written(_failed):
    for fd, source in NATIVE_SOURCES:
        if data := _read_all(source):
            _keep(fd, data)


def before_read(_module, *args):
    if args and isinstance(args[0], int) and _captured(args[0]) is not None:
        Watch.reason = Watch.reason or 'the prelude reads standard input'


def note_output_event(event):
    if event in ('subprocess.Popen', 'os.posix_spawn'):
        Output.child = True
    elif event == 'builtins.input':  # at a terminal it reads in C
        Watch.reason = Watch.reason or 'the prelude reads standard input'


# What they say of a standard stream is of the template's own.
QUESTIONS_OF_STREAMS = ('fstat', 'get_blocking', 'lseek', 'pread', 'preadv', 'sendfile')


def _before_look(name):
    def before(_module, *args, **options):
        for fd in (*args[:2 if name == 'sendfile' else 1], *options.values()):
            stream = _captured(fd) if isinstance(fd, int) else None
            if stream is not None:
                Watch.reason = Watch.reason or 'the prelude calls os.%s of %s' % (name, Output.names[stream])
    return before


def watch_descriptors():
    for name in QUESTIONS_OF_STREAMS:
        watch_call(ORIGINALS[name], _before_look(name))
    for name in ('write', 'writev'):
        watch_call(ORIGINALS[name], before_write)
    for name in ('read', 'readv'):
        watch_call(ORIGINALS[name], before_read)


def watch_streams():
    """From the interpreter's start on: what a .pth file prints is printed by every run as well."""
    global UNBUFFERED
    UNBUFFERED = not hasattr(sys.stdout.buffer, 'raw')
    for fd, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        buffer = stream.buffer
        raw = getattr(buffer, 'raw', buffer)
        watched = FileIO(fd, raw.mode, False)
        watched.name = raw.name
        Output.streams.append((stream, buffer, raw, watched))
        _exchange_raw(stream, buffer, raw, watched)
    exchange_questions(0)
    Output.on = True


def unwatch_streams():
    """What is in their buffers stays there; a raw stream of ours that the prelude has taken away does nothing more."""
    for stream, buffer, raw, watched in Output.streams:
        if watched.closed:
            raw.close()
        _exchange_raw(stream, buffer, watched, raw)
        refill(buffer)
    Output.on = False


def _exchange_raw(stream, buffer, old, new):
    """`new` for `old` beneath a stream that has nothing in its buffer, unless the prelude has taken it apart."""
    try:
        if isinstance(buffer, io.FileIO):  # -u
            if stream.buffer is old:
                set_buffer(stream, new)
        elif buffer.raw is old:
            set_raw(buffer, new)
    except (AttributeError, ValueError):
        pass  # detached


# --- what is in buffers

def _buffers_and_texts(every):
    """Those that end in a raw stream of ours; of `every` object there is, or of the standard streams."""
    raws = [watched for *_, watched in Output.streams]
    objects = _own_import('gc').get_objects() if every else [each for stream, buffer, *_ in Output.streams
                                                             for each in (stream, buffer)]
    kinds = (io.BufferedWriter, io.TextIOWrapper)
    found = [each for each in objects if issubclass(type(each), kinds)]
    buffers = [each for each in found if _beneath(each, 'raw') in raws]
    return buffers, [each for each in found if _beneath(each, 'buffer') in buffers + raws]


def _beneath(stream, name):
    try:
        return None if stream.closed else getattr(stream, name)
    except (AttributeError, ValueError):
        return None  # detached


def _held(function, stream):
    """What comes out of a stream meanwhile, as (fd, bytes)."""
    Output.held = held = []
    try:
        function(stream)
    finally:
        Output.held = None
    return held


def _take(flush, stream):
    """What is in a buffer, taken out of it; and noted whose it is."""
    held = _held(flush, stream)
    for fd, data in held:
        Output.pending[fd] = Output.pending.get(fd, 0) + len(data)
    return _joined(held)


def _joined(held):
    return b''.join(data for _, data in held)


def _take_text(stream):
    """As text that written again comes out as the same bytes; it is in the stream again."""
    data = _take(io.TextIOWrapper.flush, stream)
    if not data:
        return None
    # A stream may make '\r\n' of the end of a line; it does not say so.
    for errors, end in ((errors, end) for end in ('\n', '\r\n') for errors in (stream.errors, 'surrogateescape')):
        try:
            text = data.decode(stream.encoding, errors).replace(end, '\n')
            io.TextIOWrapper.write(stream, text)
            if _joined(_held(io.TextIOWrapper.flush, stream)) == data:
                if not _held(lambda stream: io.TextIOWrapper.write(stream, text), stream):
                    return text
                break
        except (LookupError, TypeError, UnicodeError):
            pass
    Output.reason = Output.reason or 'the prelude prints in an encoding that cannot be taken apart'
    return None


def hold_output(every):
    """Remembers what is in the buffers; it is in there again afterwards."""
    Output.pending.clear()
    Output.buffered.clear()
    buffers, texts = _buffers_and_texts(every)
    for buffer in buffers:
        Output.buffered[id(buffer)] = _take(io.BufferedWriter.flush, buffer)
    for text in texts:
        Output.buffered[id(text)] = _take_text(text)
    for buffer in buffers:
        refill(buffer)


def refill(stream):
    """With what was in it when the prelude ended."""
    data = Output.buffered.get(id(stream))
    if data:
        stream.write(data)


def printed():
    """Bytes that have been printed so far, those in the buffers of the standard streams among them."""
    drain()
    hold_output(False)
    return Output.size + sum(Output.pending.values())


# --- at the fork point

def end_output():
    drain()
    hold_output(True)
    for fd in Output.pending:
        _note_buffered(fd)
    for fd in (0, 1, 2):
        try:
            moved = _place(fd) != PLACES[fd]
        except OSError:
            moved = True
        if moved:
            Output.reason = Output.reason or 'the prelude closes or redirects ' + Output.names[fd]
    if (Output.log or Output.pending) and any(map(_marks_order, (sys.stdout, sys.stderr))):
        Output.reason = Output.reason or 'the prelude prints in an encoding that marks the order of bytes'
    unwatch_streams()


def _marks_order(stream):
    """At the start of a file alone."""
    return issubclass(type(stream), io.TextIOWrapper) and 'x'.encode(stream.encoding) != b'x'


def unfit_output():
    return Output.reason


def printed_pieces():
    """The log for C, as fd and bytes in turn."""
    return [each for fd, parts in Output.log for each in (fd, b''.join(parts))]


def pending_output():
    return Output.pending
