

# --- what a prelude asks about terminals ------------------------------------------
#
# Its standard streams are pipes, and "no" is what it is told. A client for whom that would have been another
# answer is not served. Asked is by isatty() of the streams, down to a raw stream of ours beneath them, by
# functions of os, and by ioctl(2).

STREAM_NAMES = ('stdin', 'stdout', 'stderr')

terminals_asked = set()  # of the fds 0 to 2
watched_streams = []


def note_terminal(fd):
    if fd in (0, 1, 2) and isinstance(fd, int):
        terminals_asked.add(fd)


def unfit_terminal():
    for fd in terminals_asked:
        if posix.isatty(fd):
            return 'the prelude asks whether %s is a terminal, and it is one' % STREAM_NAMES[fd]
    return None


class FileIO(io.FileIO):
    __module__ = '_io'

    def isatty(self):
        if not self.closed:
            note_terminal(self.fileno())
        return io.FileIO.isatty(self)


FileIO.__name__ = '_io.FileIO'  # what repr() of one shows from 3.13 on


def _is_thrown_away(frame):
    """argparse makes a formatter, which asks for the width, to check an argument that it is given."""
    for _ in range(8):
        if frame is None:
            return False
        if frame.f_code.co_name == 'add_argument' and frame.f_globals.get('__name__') == 'argparse':
            return True
        frame = frame.f_back
    return False


def _watched_terminal(function):
    def asks(*args):
        if not _is_thrown_away(sys._getframe(1)):
            note_terminal(args[0] if args else 1)
        return function(*args)
    return asks


def watch_terminals():
    for name in ('isatty', 'get_terminal_size', 'ttyname'):
        _replace(name, _watched_terminal(ORIGINALS[name]), 'posix', 'os')
    for fd, name in enumerate(STREAM_NAMES):
        stream = getattr(sys, name)
        buffer = stream.buffer
        raw = getattr(buffer, 'raw', buffer)
        watched = FileIO(fd, raw.mode, False)
        watched.name = raw.name
        watched_streams.append((stream, buffer, raw, watched))
        _exchange_raw(stream, buffer, raw, watched)


def unwatch_terminals():
    for stream, buffer, raw, watched in watched_streams:
        if watched.closed:
            raw.close()
        _exchange_raw(stream, buffer, watched, raw)
    watched_streams.clear()


def _exchange_raw(stream, buffer, old, new):
    """`new` for `old` beneath a stream that has nothing pending, unless the prelude has taken it apart."""
    try:
        if stream.buffer is old:  # -u
            set_buffer(stream, new)
        elif buffer.raw is old:
            set_raw(buffer, new)
    except (AttributeError, ValueError):
        pass  # detached
